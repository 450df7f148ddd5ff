from pathlib import Path

import pytest
import torch
import yaml

from seqloom.errors import ParamsError
from seqloom.export.specification import POSITIONS
from seqloom.models.catalogue import build_model
from seqloom.models.settings import TransformerArchitecture
from seqloom.params import Params, parse_params
from seqloom.presets import Preset, find, merge, presets

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")
SHIPPED = presets(ROOT / "presets")


def merged(text: str, *, into: str = TEXT) -> Params:
    return parse_params(merge(into, Preset("mine", "", text)))


@pytest.mark.parametrize("preset", SHIPPED, ids=[preset.name for preset in SHIPPED])
def test_every_shipped_preset_is_valid_and_has_a_description(preset: Preset) -> None:
    assert parse_params(merge(TEXT, preset)) != parse_params(TEXT)
    assert len(preset.purpose) > 20


@pytest.mark.parametrize("other", ["small_data", "finetune", "student"])
def test_presets_can_be_combined(other: str) -> None:
    text = merge(merge(TEXT, find("multi30k", ROOT / "presets")), find(other, ROOT / "presets"))
    assert list(parse_params(text).corpora) == ["train", "valid", "test"]


def test_a_preset_changes_only_its_settings_and_keeps_comments() -> None:
    text = merge(TEXT, Preset("mine", "", "train:\n  lr: 1e-3\nlanguages:\n  target: fr\n"))
    changed = [(old, new) for old, new in zip(TEXT.splitlines(), text.splitlines(), strict=True) if old != new]
    assert [(old.strip(), new.strip()) for old, new in changed] == [
        ("target: de", "target: fr"),
        ("lr: 1.2e-2 # the peak; 4e-3 for a transformer", "lr: 1e-3   # the peak; 4e-3 for a transformer"),
    ]


def test_merging_a_preset_twice_has_no_further_effect() -> None:
    for preset in SHIPPED:
        once = merge(TEXT, preset)
        assert merge(once, preset) == once


def test_settings_that_have_defaults_are_added_to_their_section() -> None:
    text = merge(TEXT, Preset("mine", "", "train:\n  r_drop: 5\n  validation_search:\n    beam: 2\n"))
    train = yaml.safe_load(text)["train"]
    assert (train["r_drop"], train["validation_search"]) == (5, {"beam": 2})
    assert len(text.splitlines()) == len(TEXT.splitlines()) + 3
    assert parse_params(text).train.validation_search.batch_tokens == 8192


@pytest.mark.parametrize("vocabulary", [4000, 8000, 32_000])
def test_the_export_of_a_student_has_at_most_20_megabytes(vocabulary: int) -> None:
    text = merge(TEXT, find("student", ROOT / "presets"))
    architecture = parse_params(text).model.architecture
    assert isinstance(architecture, TransformerArchitecture)
    assert architecture.encoder_layers >= 6 * architecture.decoder_layers
    with torch.device("meta"):
        network = build_model(architecture, vocabulary, vocabulary)
    weights = sum(parameter.numel() for parameter in network.parameters())  # int8: a byte each
    tables = 2 * 4 * POSITIONS * architecture.width  # sinusoids of both sides, in float32
    assert weights + tables < 18e6  # scales, norms and biases take less than a tenth


def test_null_stays_null() -> None:
    assert merged("train:\n  ema_decay: null\n").train.ema_decay is None
    assert "start: null" in merge(TEXT, Preset("mine", "", "train:\n  seed: 5\n"))


def test_corpora_are_replaced_as_a_whole() -> None:
    params = merged("corpora:\n  mine:\n    kind: file\n    path: data/local/x.tsv\n    format: tsv\n")
    assert list(params.corpora) == ["mine"]
    assert "home_assistant" in yaml.safe_load(TEXT)["corpora"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trian:\n  lr: 1\n", "preset mine: 'trian' is not a section of params.yaml"),
        ("train:\n  lrr: 1\n", r"preset mine: train\.lrr is not a setting of params\.yaml; valid are seed, "),
        ("train:\n  lr: fast\n", r"params\.yaml with the preset mine: line \d+: train\.lr: .*number, got 'fast'"),
        ("train: [\n", "not valid YAML"),
    ],
)
def test_an_invalid_preset_is_an_error(text: str, message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        merge(TEXT, Preset("mine", "", text))


def test_an_unknown_preset_is_an_error_that_lists_the_presets(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="no preset 'x'; valid are back_translation, filter_noise, finetune"):
        find("x", ROOT / "presets")
    with pytest.raises(ParamsError, match=r"no preset '\.\./params'"):
        find("../params", ROOT / "presets")
    with pytest.raises(ParamsError, match=r"there is no preset .*there is no folder"):
        find("x", tmp_path / "presets")
