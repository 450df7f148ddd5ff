"""Training runs of a tiny model on 80 made-up pairs."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from seqloom.batching.batches import BatchOrder, Pair, in_order
from seqloom.batching.store import TokenStore, TokenWriter
from seqloom.models.catalogue import build_model, weights
from seqloom.models.settings import SIDES, Side
from seqloom.training.checkpoint import Checkpoints
from seqloom.training.device import Placement
from seqloom.training.engine import Engine, TrainingResult
from seqloom.training.job import Data, Freezing, Hooks, Job
from seqloom.training.processes import ALONE, Processes
from seqloom.training.reports import Report, WarningReport
from seqloom.training.settings import TrainSettings
from tests.records import model_settings

VOCABULARY = 24

VALIDATED = 2  # batches: enough for a loss that falls

CPU = Placement(torch.device("cpu"), "fp32")

FAMILIES: dict[str, dict[str, Any]] = {
    "transformer": {"width": 16, "feed_forward": 32, "heads": 2, "encoder_layers": 1, "decoder_layers": 1},
    "lstm": {"embedding": 12, "hidden": 16, "layers": 1},
    "attention_lstm": {"embedding": 12, "hidden": 16, "encoder_layers": 1, "decoder_layers": 1},
}

RECIPES: dict[str, dict[str, Any]] = {
    "accumulate": {"accumulate": 3},
    "muon": {"optimizer": "muon"},
    "r_drop": {"r_drop": 5.0},
    "ema": {"ema_decay": 0.9},
    "word_dropout": {"word_dropout": 0.2},
    "subword_sampling": {"subword_sampling": 0.1},
    "temperature": {"direction_temperature": 5.0},
    "frozen": {"frozen_steps": 9},
    "all of them": {
        "accumulate": 2, "optimizer": "muon", "r_drop": 5.0, "ema_decay": 0.9, "word_dropout": 0.2,
        "subword_sampling": 0.1, "direction_temperature": 5.0, "frozen_steps": 9,
    },
    "lstm": {"family": "lstm"},
    "attention_lstm": {"family": "attention_lstm"},
}  # fmt: skip

_UNDISTURBED: dict[str, tuple[TrainingResult, dict[str, torch.Tensor]]] = {}


def write_store(folder: Path) -> TokenStore:
    """Write 60 pairs of one direction and 20 of another."""
    generator = torch.Generator().manual_seed(5)
    with TokenWriter(folder, VOCABULARY, VOCABULARY, directions=("en-de", "en-fr")) as writer:
        for number in range(80):
            length = int(torch.randint(1, 9, (1,), generator=generator))
            ids = torch.randint(4, VOCABULARY, (length,), generator=generator).tolist()
            writer.add(ids, ids[::-1], direction=int(number >= 60))
    return TokenStore.open(folder)


def stutter(seed: int, pairs: list[Pair]) -> list[Pair]:
    """A substitute for subword sampling that repeats some ids."""
    draw = random.Random(seed)
    return [([i for i in s for _ in range(draw.choice((1, 1, 2)))], t) for s, t in pairs]


class Run:
    """Makes engines on the same data; the negative validation loss replaces BLEU."""

    def __init__(self, store: TokenStore, settings: TrainSettings, folder: Path) -> None:
        self.store, self.settings, self.folder = store, settings, folder
        self.reports: list[Report] = []

    def engine(
        self,
        folder: str = "run",
        *,
        stop_at: int | None = None,
        family: str = "transformer",
        dropout: float = 0.1,
        ties: str = "all",
        frozen_steps: int = 0,
        frozen_sides: Sequence[Side] = SIDES,
        trained: Callable[[str], bool] = lambda name: True,
        processes: Processes = ALONE,
        placement: Placement = CPU,
        **change: Any,
    ) -> Engine:
        settings = self.settings.model_copy(update=change)
        torch.manual_seed(settings.seed)
        architecture = model_settings(family, dropout, ties, **FAMILIES[family]).architecture
        model = build_model(architecture, VOCABULARY, VOCABULARY)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(trained(name))
        order = BatchOrder(
            self.store,
            int(settings.tokens_per_batch) * processes.shares,
            settings.seed,
            temperature=settings.direction_temperature,
            resample=stutter if settings.subword_sampling else None,
            share=processes.share,
        )
        data = Data(order, list(in_order(self.store, int(settings.tokens_per_batch)))[:VALIDATED])
        hooks = Hooks(
            quality=lambda _: -engine.validation_loss(),
            should_stop=lambda: engine.state.step == stop_at,
            listeners=[self.reports.append],
        )
        checkpoints = Checkpoints(self.folder / folder, keep=settings.keep_checkpoints)
        engine = Engine(
            Job(model, data, settings, placement, checkpoints, hooks, Freezing(frozen_steps, frozen_sides), processes)
        )
        return engine

    def train(self, folder: str = "run", **change: Any) -> tuple[TrainingResult, dict[str, torch.Tensor]]:
        engine = self.engine(folder, **change)
        result = engine.run()
        return result, {name: tensor.clone() for name, tensor in weights(engine.model).items()}

    def warnings(self) -> list[str]:
        """Return the messages of all warnings so far."""
        return [report.message for report in self.reports if isinstance(report, WarningReport)]

    def undisturbed(self, **change: Any) -> tuple[TrainingResult, dict[str, torch.Tensor]]:
        """Return what `train` returns for a run that was never stopped; it is trained once for all tests."""
        key = repr((self.settings, sorted(change.items())))
        if key not in _UNDISTURBED:
            _UNDISTURBED[key] = self.train("undisturbed", **change)
        return _UNDISTURBED[key]


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)
