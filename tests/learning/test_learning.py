"""A small model of every family learns to copy and to reverse unseen sequences."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from seqloom.batching.batches import BatchOrder, in_order
from seqloom.batching.store import TokenStore, TokenWriter
from seqloom.decoding.beam_search import beam_search
from seqloom.decoding.constraints import Constraints
from seqloom.models.catalogue import build_model
from seqloom.models.seq2seq import Seq2Seq
from seqloom.models.settings import PretrainedArchitecture
from seqloom.symbols import SPECIAL_IDS, Symbols
from seqloom.training.checkpoint import Checkpoints
from seqloom.training.device import Placement
from seqloom.training.engine import Engine
from seqloom.training.job import Data, Hooks, Job
from tests.models import networks
from tests.models.networks import SYMBOLS
from tests.records import model_settings, search_settings, train_settings
from tests.tiny_pretrained import make_network

VOCABULARY = 20
WORDS = 10
LONGEST = 4
UNSEEN = 400
SEARCH = search_settings(beam=2, length_penalty=1.0, max_length_ratio=2.0, max_length_extra=4, batch_tokens=4096)
SETTINGS: dict[str, Any] = {
    "seed": 1, "device": "cpu", "precision": "fp32", "optimizer": "muon", "schedule": "linear", "warmup_steps": 30,
    "weight_decay": 0.0, "label_smoothing": 0.0, "clip_norm": 1.0, "tokens_per_batch": 512, "report_every": 100,
    "validation_segments": 1, "average": 1, "keep_checkpoints": 1,
}  # fmt: skip
TRANSFORMER: dict[str, Any] = {
    "width": 48, "feed_forward": 96, "heads": 4, "encoder_layers": 1, "decoder_layers": 1,
}  # fmt: skip
ATTENTION_LSTM: dict[str, Any] = {"embedding": 32, "hidden": 64, "encoder_layers": 1, "decoder_layers": 1}
LSTM: dict[str, Any] = {"embedding": 32, "hidden": 96, "layers": 1}
T5 = {"d_model": 48, "d_kv": 12, "d_ff": 96, "num_layers": 1, "num_heads": 4}
MARIAN = {"d_model": 48} | {
    f"{side}_{part}": size
    for side in ("encoder", "decoder")
    for part, size in (("layers", 1), ("attention_heads", 4), ("ffn_dim", 96))
}

# Case: family, or kind of a pretrained network with random weights; settings; updates.
CASES: dict[str, tuple[str, dict[str, Any], int]] = {
    "transformer": ("transformer", TRANSFORMER, 250),
    "transformer-post": ("transformer", TRANSFORMER | {"norm_order": "post"}, 250),
    "transformer-rotary": ("transformer", TRANSFORMER | {"positions": "rotary"}, 250),
    "lstm": ("lstm", LSTM, 350),
    "attention_lstm-additive": ("attention_lstm", ATTENTION_LSTM | {"attention": "additive"}, 200),
    "attention_lstm-dot": ("attention_lstm", ATTENTION_LSTM | {"attention": "dot"}, 200),
    "attention_lstm": ("attention_lstm", ATTENTION_LSTM | {"attention": "general"}, 200),
    "attention_lstm-fed": ("attention_lstm", ATTENTION_LSTM | {"input_feeding": True}, 200),
    "t5": ("t5", T5, 300),
    "marian": ("marian", MARIAN, 300),
}

# One case of each family of seqloom's own, with the updates in which it learns to reverse; the others are drills.
FAMILIES = {"transformer": 170, "lstm": 160, "attention_lstm": 130}


def network(family: str, section: dict[str, Any], folder: Path) -> Seq2Seq:
    torch.manual_seed(1)
    if family not in SYMBOLS:
        return build_model(model_settings(family, 0.0, "all", **section).architecture, VOCABULARY, VOCABULARY)
    make_network(family, folder, networks.VOCABULARY, **section)
    architecture = PretrainedArchitecture(name="pretrained", dropout=0.0)
    return build_model(architecture, networks.VOCABULARY, networks.VOCABULARY, folder)


def translate(model: Seq2Seq, sources: list[list[int]], symbols: Symbols = SPECIAL_IDS) -> list[list[int]]:
    lengths = torch.tensor([len(ids) for ids in sources])
    padded = torch.zeros(len(sources), int(lengths.max()), dtype=torch.long)
    for row, ids in zip(padded, sources, strict=True):
        row[: len(ids)] = torch.tensor(ids)
    with torch.inference_mode():
        constraints = Constraints.build(symbols, lengths + 4)
        found = beam_search(model.step, model.start(padded, lengths), constraints, SEARCH)
    return [hypotheses[0].ids for hypotheses in found]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "task", "steps"),
    [pytest.param(case, "reverse", steps, id=f"{case}-reverse") for case, steps in FAMILIES.items()]
    + [
        pytest.param(case, task, CASES[case][2], id=f"{case}-{task}", marks=pytest.mark.drill)
        for task, cases in (("reverse", CASES.keys() - FAMILIES), ("copy", [*FAMILIES, "t5"]))
        for case in sorted(cases)
    ],
)
def test_learns(case: str, task: str, steps: int, tmp_path: Path) -> None:
    family, section, _ = CASES[case]
    draw = random.Random(3)
    pairs = []
    for _ in range(3000 + UNSEEN):
        # No repeated ids: with rotary positions, a single layer finds a position only by its content.
        ids = draw.sample(range(4, 4 + WORDS), draw.randint(1, LONGEST))
        pairs.append((ids, ids if task == "copy" else ids[::-1]))
    seen = {tuple(source) for source, _ in pairs[:3000]}
    unseen = [pair for pair in pairs[3000:] if tuple(pair[0]) not in seen]
    model, symbols = network(family, section, tmp_path / "base"), SYMBOLS.get(family, SPECIAL_IDS)
    with TokenWriter(tmp_path / "tokens", model.source_vocab_size, model.target_vocab_size, symbols) as writer:
        for source, target in pairs[:3000]:
            writer.add(source, target)
    store = TokenStore.open(tmp_path / "tokens")
    lr = 1e-2 if family == "marian" else 2e-2
    settings = train_settings(**SETTINGS, lr=lr, max_steps=steps, validate_every=steps, checkpoint_every=steps)
    data, cpu = Data(BatchOrder(store, 512, 1), list(in_order(store, 512))[:2]), Placement(torch.device("cpu"), "fp32")
    checkpoints = Checkpoints(tmp_path / "run", keep=1)
    engine = Engine(Job(model, data, settings, cpu, checkpoints, Hooks(quality=lambda model: 0.0)))
    engine.run()
    hypotheses = translate(engine.model.eval(), [source for source, _ in unseen], symbols)
    right = sum(hypothesis == target for hypothesis, (_, target) in zip(hypotheses, unseen, strict=True))
    assert right >= 0.9 * len(unseen), f"{right} of {len(unseen)} unseen sequences {task} right"
