"""In every model family, the same inputs give the same bytes, also after a kill."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, get_args

import pytest
import torch
from safetensors.torch import save

from seqloom.batching.batches import BatchOrder, in_order
from seqloom.batching.store import TokenStore, TokenWriter
from seqloom.models.catalogue import weights
from seqloom.models.seq2seq import Seq2Seq
from seqloom.models.settings import Family
from seqloom.symbols import SPECIAL_IDS, Symbols
from seqloom.training.checkpoint import Checkpoints
from seqloom.training.device import Placement
from seqloom.training.engine import Engine, TrainingResult
from seqloom.training.job import Data, Hooks, Job
from seqloom.training.reports import Report, StepReport
from tests.models.networks import NETWORKS, PRETRAINED, SYMBOLS, VOCABULARY, make
from tests.records import train_settings
from tests.tiny_pretrained import make_network

NAMES = [
    "transformer", "transformer-rms-rotary-swiglu", "lstm", "lstm-gru", "attention_lstm-general",
    "attention_lstm-gru-fed-additive", "marian", "t5",
]  # fmt: skip
SETTINGS = train_settings(
    device="cpu", optimizer="adamw", lr=0.01, schedule="constant", warmup_steps=2, max_steps=12, max_epochs=None,
    tokens_per_batch=128, report_every=1, validate_every=5, checkpoint_every=4, patience=None, average=2,
    keep_checkpoints=2,
)  # fmt: skip


class Killed(BaseException):
    pass


class Run(NamedTuple):
    """The result of a training run."""

    result: TrainingResult
    losses: list[float]  # of each update since the start or resume
    weights: bytes
    fixed: bytes  # untrained weights after the run, and before it:
    fixed_before: bytes


def fixed(model: Seq2Seq) -> bytes:
    return save({name: p.detach() for name, p in model.named_parameters() if not p.requires_grad})


def tokens(folder: Path, symbols: Symbols) -> TokenStore:
    """60 pairs with equal source and target."""
    if not folder.exists():
        generator = torch.Generator().manual_seed(5)
        with TokenWriter(folder, VOCABULARY, VOCABULARY, symbols) as writer:
            for _ in range(60):
                length = int(torch.randint(2, 9, (1,), generator=generator))
                ids = torch.randint(4, 16, (length,), generator=generator).tolist()
                writer.add([*ids, symbols.eos], ids)
    return TokenStore.open(folder)


@pytest.fixture(params=NAMES)
def train(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Run]:
    """Return a function that trains a network in a folder, or resumes there, and can stop hard after an update."""
    name = request.param
    if name in PRETRAINED:
        make_network(name, tmp_path / name, VOCABULARY)

    def run(folder: str, killed_at: int | None = None) -> Run:
        store = tokens(tmp_path / "tokens", SYMBOLS.get(name, SPECIAL_IDS))
        torch.manual_seed(SETTINGS.seed)
        model = make(name, {name: tmp_path / name}, ties="all", dropout=0.1)
        before, reports = fixed(model), list[Report]()

        def kill() -> bool:
            if engine.state.step == killed_at:
                raise Killed
            return False

        data = Data(BatchOrder(store, 128, SETTINGS.seed), list(in_order(store, 128))[:2])
        hooks = Hooks(lambda _: -engine.validation_loss(), kill, [reports.append])
        checkpoints = Checkpoints(tmp_path / folder, keep=2)
        engine = Engine(Job(model, data, SETTINGS, Placement(torch.device("cpu"), "fp32"), checkpoints, hooks))
        result = engine.run()
        losses = [report.loss for report in reports if isinstance(report, StepReport)]
        return Run(result, losses, save(weights(model)), fixed(model), before)

    return run


def test_every_family_is_tested() -> None:
    assert {NETWORKS[name][0] for name in NAMES} == set(get_args(Family))


def test_two_runs_and_a_killed_one_give_the_same_bytes(train: Callable[..., Run]) -> None:
    first = train("a")
    assert sum(first.losses[-4:]) < sum(first.losses[:4])
    assert first.fixed == first.fixed_before
    assert train("b") == first
    with pytest.raises(Killed):
        train("c", killed_at=10)
    torch.manual_seed(999)  # must not matter
    resumed = train("c")
    assert 0 < len(resumed.losses) < len(first.losses)
    assert resumed == first._replace(losses=first.losses[-len(resumed.losses) :])
