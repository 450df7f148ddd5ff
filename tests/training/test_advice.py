from pathlib import Path
from typing import Any

import pytest

from seqloom.models.settings import TransformerArchitecture
from seqloom.params import Params, load_params, parse_params
from seqloom.presets import Preset, merge, presets
from seqloom.training.advice import Advice, Facts, advise
from tests import records

ROOT = Path(__file__).resolve().parents[2]
PRESETS = presets(ROOT / "presets")
# Approximately the default corpus.
FACTS = Facts(
    family="transformer", post_norm=False, width=128, dropout=0.1, pairs=29_000, tokens=400_000, pieces=4000,
    occurrences=600_000, validation_segments=1200, device="cpu", processes=1,
)  # fmt: skip


def advice_for(settings: dict[str, Any], facts: dict[str, Any]) -> list[Advice]:
    return advise(records.train_settings(**settings), FACTS._replace(**facts))


def facts_of(params: Params) -> Facts:
    architecture = params.model.architecture
    transformer = isinstance(architecture, TransformerArchitecture)
    return FACTS._replace(
        family=params.model.name,
        post_norm=transformer and architecture.norm_order == "post",
        width=architecture.width if transformer else 0,
        dropout=params.model.dropout,
        pieces=params.tokenizer.vocab_size,
    )


def test_the_defaults_give_no_warning() -> None:
    params = load_params(ROOT / "params.yaml")
    assert advise(params.train, facts_of(params)) == []


SERIOUS = [preset for preset in PRESETS if preset.name != "smoke"]  # deliberately too short


@pytest.mark.parametrize("preset", SERIOUS, ids=[preset.name for preset in SERIOUS])
def test_no_preset_gives_a_warning(preset: Preset) -> None:
    params = parse_params(merge((ROOT / "params.yaml").read_text(encoding="utf-8"), preset))
    assert advise(params.train, facts_of(params)) == []


# Settings that give a warning, and the nearest ones that do not.
RULES: list[tuple[dict[str, Any], dict[str, Any], str, str, list[tuple[dict[str, Any], dict[str, Any]]]]] = [
    (
        {"warmup_steps": 0}, {"post_norm": True}, "train.warmup_steps", "norm_order post may never",
        [({"warmup_steps": 100}, {"post_norm": True}), ({"warmup_steps": 0}, {})],
    ),
    (
        {"warmup_steps": 300, "adam_betas": (0.9, 0.999)}, {"post_norm": True}, "train.warmup_steps", "use 2000",
        [({"warmup_steps": 300, "adam_betas": (0.9, 0.998)}, {})],
    ),
    (
        {"warmup_steps": 1300}, {}, "train.warmup_steps", "more than half of max_steps (2400)",
        [({"warmup_steps": 1200}, {}), ({"warmup_steps": 1300, "max_steps": None, "max_minutes": 5.0}, {})],
    ),
    (
        {"lr": 3e-2}, {}, "train.lr", "width 128 is trained with",
        [({"lr": 5e-3}, {}), ({"lr": 1e-3}, {"width": 1024}), ({"lr": 3e-2}, {"family": "lstm", "width": 0})],
    ),
    ({"lr": 4e-3}, {"width": 1024}, "train.lr", "use at most 0.001", [({"lr": 4e-3}, {"width": 256})]),
    (
        {"lr": 5e-5, "optimizer": "adamw"}, {}, "train.lr", "use 5e-4 or more",
        [({"lr": 5e-4}, {}), ({"lr": 5e-5}, {"family": "pretrained"})],
    ),
    ({"lr": 4e-3}, {"family": "pretrained"}, "train.lr", "forget", [({"lr": 1e-3}, {"family": "pretrained"})]),
    (
        {"optimizer": "sgd", "lr": 4e-3, "weight_decay": 0.0}, {"family": "lstm"}, "train.lr", "use 0.1 to 1",
        [({"optimizer": "sgd", "lr": 0.1, "weight_decay": 0.0}, {"family": "lstm"})],
    ),
    (
        {"optimizer": "adam", "weight_decay": 0.01}, {}, "train.weight_decay", "use 1e-4 or 0",
        [({"optimizer": "adam", "weight_decay": 1e-4}, {}), ({"optimizer": "adamw", "weight_decay": 0.1}, {})],
    ),
    (
        {"precision": "fp16"}, {}, "train.precision", "use auto",
        [({"precision": "fp16"}, {"device": "cuda"}), ({"precision": "fp32"}, {})],
    ),
    ({"precision": "bf16"}, {}, "train.precision", "on a CPU", [({"precision": "bf16"}, {"device": "cuda"})]),
    (
        {"r_drop": 5.0}, {"dropout": 0.0}, "train.r_drop", "model.dropout is 0",
        [({"r_drop": 5.0, "label_smoothing": 0.1}, {}), ({"r_drop": 5.0, "word_dropout": 0.1}, {"dropout": 0.0})],
    ),
    (
        {"validation_segments": 50}, {}, "train.validation_segments", "mostly chance",
        [({"validation_segments": 200}, {})],
    ),
    ({}, {"validation_segments": 40}, "prepare.split.valid", "mostly chance", [({}, {"validation_segments": 200})]),
    (
        {}, {"occurrences": 60_000}, "tokenizer.vocab_size", "15 times in training, on average",
        [({}, {"occurrences": 100_000}), ({"lr": 5e-5}, {"occurrences": 60_000, "family": "pretrained"})],
    ),
    (
        {"tokens_per_batch": 256}, {}, "train.tokens_per_batch", "use 1000 or more, or raise accumulate",
        [
            ({"tokens_per_batch": 256, "accumulate": 4}, {}), ({"tokens_per_batch": 256}, {"processes": 4}),
            ({"tokens_per_batch": 256}, {"family": "lstm"}),
        ],
    ),
    (
        {"tokens_per_batch": 32_768}, {}, "train.tokens_per_batch", "12 updates, but few pairs need small batches",
        [({"tokens_per_batch": 16_384}, {}), ({"tokens_per_batch": 32_768}, {"tokens": 4_000_000})],
    ),
    (
        {"max_steps": 300, "warmup_steps": 10}, {}, "train.max_steps", "77% of the pairs",
        [({"max_steps": 400, "warmup_steps": 10}, {}), ({"max_steps": None, "max_minutes": 5.0}, {})],
    ),
    (
        {"max_steps": 100_000}, {}, "train.max_steps", "pairs are read 256 times",
        [
            ({"max_steps": 100_000}, {"dropout": 0.3}), ({"max_steps": 100_000, "r_drop": 5.0}, {}),
            ({"max_steps": 100_000, "max_epochs": 50}, {}), ({"max_steps": 70_000}, {}),
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "facts", "field", "message", "silent"), RULES, ids=lambda value: str(value)[:40])
def test_a_bad_setting_gives_a_warning_with_a_remedy(
    settings: dict[str, Any],
    facts: dict[str, Any],
    field: str,
    message: str,
    silent: list[tuple[dict[str, Any], dict[str, Any]]],
) -> None:
    (advice,) = advice_for({"validate_every": 1} | settings, facts)
    assert advice.field == field
    assert message in advice.message
    for other_settings, other_facts in silent:
        assert advice_for({"validate_every": 1} | other_settings, other_facts) == []


def test_batch_size_auto_gives_no_warning() -> None:
    assert advice_for({"tokens_per_batch": "auto"}, {"tokens": 100}) == []


def test_a_tiny_corpus_gives_every_warning_about_size() -> None:
    small = {"pairs": 100, "tokens": 1500, "occurrences": 2500, "pieces": 300, "validation_segments": 5}
    fields = [advice.field for advice in advice_for({}, small)]
    assert fields == ["prepare.split.valid", "tokenizer.vocab_size", "train.tokens_per_batch", "train.max_steps"]


def test_every_warning_names_a_setting_of_params_yaml() -> None:
    content = records.tree()
    for settings, facts, *_ in RULES:
        for advice in advice_for({"validate_every": 1} | settings, facts):
            part: Any = content
            for key in advice.field.split("."):
                part = part[key]
            assert str(advice).startswith(f"{advice.field}: ")
