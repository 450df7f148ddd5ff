"""Without attention, a model forgets the distant part of a long source (Bahdanau et al. 2015)."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from seqloom.batching.batches import BatchOrder, in_order
from seqloom.batching.store import TokenStore, TokenWriter
from seqloom.models.catalogue import build_model
from seqloom.models.seq2seq import Seq2Seq
from seqloom.training.checkpoint import Checkpoints
from seqloom.training.device import Placement
from seqloom.training.engine import Engine
from seqloom.training.job import Data, Hooks, Job
from tests.learning.test_learning import SETTINGS, VOCABULARY, translate
from tests.records import model_settings, train_settings

LONGEST, STEPS = 20, 400
SHORT, LONG = range(2, 6), range(16, LONGEST + 1)
FAMILIES: dict[str, dict[str, Any]] = {
    "lstm": {"embedding": 32, "hidden": 64, "layers": 1},
    "attention_lstm": {"embedding": 32, "hidden": 64, "encoder_layers": 1, "decoder_layers": 1},
}


def sequences(draw: random.Random, count: int) -> list[list[int]]:
    return [[draw.randrange(4, VOCABULARY) for _ in range(draw.randint(1, LONGEST))] for _ in range(count)]


def trained(family: str, folder: Path) -> Seq2Seq:
    """Train a model to copy sequences of every length up to `LONGEST`."""
    with TokenWriter(folder / "tokens", VOCABULARY, VOCABULARY) as writer:
        for ids in sequences(random.Random(5), 4000):
            writer.add(ids, ids)
    store = TokenStore.open(folder / "tokens")
    torch.manual_seed(1)
    settings = train_settings(**SETTINGS, lr=1e-2, max_steps=STEPS, validate_every=STEPS, checkpoint_every=STEPS)
    model = build_model(model_settings(family, 0.0, "all", **FAMILIES[family]).architecture, VOCABULARY, VOCABULARY)
    data, cpu = (
        Data(BatchOrder(store, 1024, 1), list(in_order(store, 1024))[:1]),
        Placement(torch.device("cpu"), "fp32"),
    )
    checkpoints = Checkpoints(folder / "run", keep=1)
    engine = Engine(Job(model, data, settings, cpu, checkpoints, Hooks(quality=lambda model: 0.0)))
    engine.run()
    return engine.model.eval()


def accuracy(model: Seq2Seq, lengths: range) -> float:
    """Return the share of correctly copied tokens in unseen sequences of some lengths."""
    draw = random.Random(99)
    unseen = [[draw.randrange(4, VOCABULARY) for _ in range(draw.choice(lengths))] for _ in range(60)]
    found = translate(model, unseen)
    right = sum(a == b for source, copy in zip(unseen, found, strict=True) for a, b in zip(source, copy, strict=False))
    return right / sum(map(len, unseen))


@pytest.mark.slow
@pytest.mark.drill
def test_an_attention_model_beats_the_plain_lstm_as_length_grows(tmp_path: Path) -> None:
    plain, attention = (trained(family, tmp_path / family) for family in FAMILIES)
    short = accuracy(attention, SHORT) - accuracy(plain, SHORT)
    long = accuracy(attention, LONG) - accuracy(plain, LONG)
    assert accuracy(attention, LONG) > 0.9
    assert long > short + 0.2
