"""A small model really learns: to copy, and to reverse, sequences that it has never seen."""

import random
from pathlib import Path

import pytest
import torch

from seqloom.batching.batches import BatchOrder, in_order
from seqloom.batching.store import TokenStore, TokenWriter
from seqloom.decoding.search import beam_search
from seqloom.decoding.settings import SearchSettings
from seqloom.models.catalogue import build_model
from seqloom.models.seq2seq import Seq2Seq
from seqloom.models.settings import ModelSettings
from seqloom.training.checkpoint import Checkpoints
from seqloom.training.device import Placement
from seqloom.training.engine import Engine
from seqloom.training.reports import Report
from seqloom.training.settings import TrainSettings

VOCABULARY = 20
SEARCH = SearchSettings(beam=2, length_penalty=1.0, max_length_ratio=2.0, max_length_extra=4, batch_tokens=4096)
SETTINGS = TrainSettings(
    seed=1, device="cpu", precision="fp32", optimizer="adamw", lr=4e-3, schedule="linear", warmup_steps=50,
    adam_betas=(0.9, 0.98), weight_decay=0.0, label_smoothing=0.0, clip_norm=1.0, tokens_per_batch=512, accumulate=1,
    max_steps=1000, max_epochs=None, max_minutes=None, report_every=100, validate_every=1000, validation_segments=1,
    patience=None, average=1, checkpoint_every=1000, keep_checkpoints=1,
)  # fmt: skip
MODEL = ModelSettings(
    name="transformer", preset="tiny", width=48, feed_forward=96, heads=4, encoder_layers=1, decoder_layers=1,
    dropout=0.0, tied_embeddings="all",
)  # fmt: skip


def translate(model: Seq2Seq, sources: list[list[int]]) -> list[list[int]]:
    lengths = torch.tensor([len(ids) for ids in sources])
    padded = torch.zeros(len(sources), int(lengths.max()), dtype=torch.long)
    for row, ids in zip(padded, sources, strict=True):
        row[: len(ids)] = torch.tensor(ids)
    with torch.inference_mode():
        found = beam_search(
            model.step, model.start(padded, lengths), rows=len(sources), max_lengths=lengths + 4, settings=SEARCH
        )
    return [hypotheses[0].ids for hypotheses in found]


@pytest.mark.slow
@pytest.mark.parametrize("task", ["copy", "reverse"])
def test_learns(task: str, tmp_path: Path) -> None:
    draw = random.Random(3)
    pairs = []
    for _ in range(3100):
        ids = [draw.randrange(4, VOCABULARY) for _ in range(draw.randint(1, 8))]
        pairs.append((ids, ids if task == "copy" else ids[::-1]))
    unseen = pairs[3000:]
    with TokenWriter(tmp_path / "tokens", VOCABULARY, VOCABULARY) as writer:
        for source, target in pairs[:3000]:
            writer.add(source, target)
    store = TokenStore.open(tmp_path / "tokens")
    reports: list[Report] = []
    torch.manual_seed(1)
    engine = Engine(
        build_model(MODEL, VOCABULARY, VOCABULARY), BatchOrder(store, 512, 1), list(in_order(store, 512))[:2], SETTINGS,
        Placement(torch.device("cpu"), bf16=False), quality=lambda model: 0.0,
        checkpoints=Checkpoints(tmp_path / "run", keep=1), listen=reports.append, should_stop=lambda: False,
    )  # fmt: skip
    engine.run()
    hypotheses = translate(engine.model.eval(), [source for source, _ in unseen])
    right = sum(hypothesis == target for hypothesis, (_, target) in zip(hypotheses, unseen, strict=True))
    assert right >= 95, f"{right} of 100 unseen sequences {task} right"
