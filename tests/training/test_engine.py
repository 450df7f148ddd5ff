import math
import random
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from seqloom.batching.batches import Batch, BatchOrder, Pair, ProcessShare, in_order
from seqloom.batching.store import TokenStore, TokenWriter
from seqloom.errors import TrainingError
from seqloom.models.catalogue import build_model, weights
from seqloom.models.seq2seq import Seq2Seq
from seqloom.models.settings import SIDES, Side
from seqloom.training.checkpoint import Checkpoints
from seqloom.training.device import Placement
from seqloom.training.engine import Engine, InterruptError, TrainingResult
from seqloom.training.job import Data, Freezing, Hooks, Job
from seqloom.training.loss import Loss
from seqloom.training.processes import ALONE, Processes
from seqloom.training.reports import Listeners, Report, SkippedReport, StepReport, ValidationReport, WarningReport
from seqloom.training.settings import TrainSettings
from tests.records import model_settings

VOCABULARY = 24
CPU = Placement(torch.device("cpu"), "fp32")
FAMILIES: dict[str, dict[str, Any]] = {
    "transformer": {"width": 16, "feed_forward": 32, "heads": 2, "encoder_layers": 1, "decoder_layers": 1},
    "lstm": {"embedding": 12, "hidden": 16, "layers": 1},
    "attention_lstm": {"embedding": 12, "hidden": 16, "encoder_layers": 1, "decoder_layers": 1},
}


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    """60 pairs of one direction and 20 of another."""
    generator = torch.Generator().manual_seed(5)
    with TokenWriter(tmp_path / "tokens", VOCABULARY, VOCABULARY, directions=("en-de", "en-fr")) as writer:
        for number in range(80):
            length = int(torch.randint(1, 9, (1,), generator=generator))
            ids = torch.randint(4, VOCABULARY, (length,), generator=generator).tolist()
            writer.add(ids, ids[::-1], direction=int(number >= 60))
    return TokenStore.open(tmp_path / "tokens")


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
            int(settings.tokens_per_batch) * processes.size,
            settings.seed,
            temperature=settings.direction_temperature,
            resample=stutter if settings.subword_sampling else None,
            share=ProcessShare(processes.rank, processes.size),
        )
        data = Data(order, list(in_order(self.store, int(settings.tokens_per_batch))))
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


@pytest.fixture
def run(store: TokenStore, train_settings: TrainSettings, tmp_path: Path) -> Run:
    return Run(store, train_settings, tmp_path)


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def test_the_loss_falls_and_all_reports_are_sent(run: Run) -> None:
    result, _ = run.train(max_steps=60)
    steps = [report for report in run.reports if isinstance(report, StepReport)]
    assert [report.step for report in steps] == list(range(1, 61))
    assert sum(r.loss for r in steps[-10:]) < sum(r.loss for r in steps[:10])
    assert [r.step for r in run.reports if isinstance(r, ValidationReport)] == list(range(6, 61, 6))
    assert [row.step for row in result.history] == list(range(3, 61, 3))
    assert all((row.valid_bleu is not None) == (row.step % 6 == 0) for row in result.history)
    assert result.reason == "max_steps (60) reached"


def test_the_same_inputs_give_the_same_weights(run: Run) -> None:
    first, second = run.train("a"), run.train("b")
    assert same(first[1], second[1])
    assert first[0] == second[0]
    assert not same(first[1], run.train("c", seed=2)[1])


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


@pytest.mark.parametrize(
    ("stop_at", "change"),
    [(stop_at, {}) for stop_at in (1, 4, 6, 13, 23)]
    + [pytest.param(13, change, id=name) for name, change in RECIPES.items()]
    + [pytest.param(5, RECIPES[name], id=f"{name}, early") for name in ("ema", "frozen", "all of them")],
)
def test_an_interrupted_run_ends_with_the_same_weights(run: Run, stop_at: int, change: dict[str, Any]) -> None:
    undisturbed = run.train("a", **change)
    with pytest.raises(InterruptError):
        run.engine("b", stop_at=stop_at, **change).run()
    torch.manual_seed(999)  # must not matter
    resumed = run.train("b", **change)
    assert same(undisturbed[1], resumed[1])
    assert undisturbed[0] == resumed[0]


def test_every_recipe_changes_the_weights(run: Run) -> None:
    def after_three_updates(**change: Any) -> dict[str, torch.Tensor]:
        engine = run.engine(**change)
        for _ in range(3):
            engine._update()
        return weights(engine.model) if engine.moving is None else engine.moving.tensors

    plain = after_three_updates()
    for name, change in RECIPES.items():
        assert "family" in change or not same(plain, after_three_updates(**change)), name


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("when", [3, 12, 24])
def test_a_killed_run_ends_with_the_same_weights(run: Run, moment: str, when: int) -> None:
    class Killed(BaseException):
        pass

    undisturbed = run.train("a")
    engine = run.engine("b")
    original: Callable[..., None] = engine._validate if when != 3 else engine._update

    def killed() -> None:
        at_moment = engine.state.step == (when if when != 3 else when - 1)
        if at_moment and moment == "before":
            raise Killed
        original()
        if at_moment:
            raise Killed

    setattr(engine, original.__name__, killed)
    with pytest.raises(Killed):
        engine.run()
    resumed = run.train("b")
    assert same(undisturbed[1], resumed[1])
    assert undisturbed[0] == resumed[0]


def test_a_finished_run_makes_no_more_updates(run: Run) -> None:
    first = run.train()
    run.reports.clear()
    second = run.train()
    assert not any(isinstance(report, StepReport) for report in run.reports)
    assert same(first[1], second[1])


def test_accumulated_batches_give_the_update_of_one_large_batch(run: Run) -> None:
    engine = run.engine(dropout=0.0)
    batches = [engine._next_batch() for _ in range(3)]
    separate = engine.gradients.of(batches, 1.0)
    other = run.engine(dropout=0.0)
    torch.testing.assert_close(other.gradients.of([merged(batches)], 1.0), separate)
    for mine, theirs in zip(other.model.parameters(), engine.model.parameters(), strict=True):
        assert mine.grad is not None
        torch.testing.assert_close(mine.grad, theirs.grad, atol=1e-6, rtol=1e-4)


def merged(batches: list[Batch]) -> Batch:
    def stack(tensors: list[torch.Tensor]) -> torch.Tensor:
        width = max(tensor.shape[1] for tensor in tensors)
        return torch.cat([torch.nn.functional.pad(t, (0, width - t.shape[1])) for t in tensors])

    return Batch(
        stack([b.source for b in batches]), torch.cat([b.source_lengths for b in batches]),
        stack([b.target_in for b in batches]), stack([b.target_out for b in batches]),
        torch.cat([b.target_lengths for b in batches]),
    )  # fmt: skip


def test_patience_epochs_and_minutes_end_a_run(run: Run) -> None:
    flat = run.engine("p", patience=2, max_steps=600)
    flat.quality = lambda model: 1.0
    assert "no better validation BLEU in 2 validations" in flat.run().reason
    epochs = run.train("e", max_epochs=2, max_steps=600)[0]
    assert epochs.reason == "max_epochs (2) reached"
    assert epochs.history[-1].valid_bleu is not None
    assert run.train("m", max_minutes=1e-9, max_steps=600)[0].reason.startswith("max_minutes")


def test_the_result_is_the_mean_of_the_weights_up_to_the_best(run: Run, tmp_path: Path) -> None:
    engine = run.engine(max_steps=30, average=3)
    seen: list[dict[str, torch.Tensor]] = []
    scores = iter([1.0, 2.0, 3.0, 9.0, 4.0, 99.0])  # five validations, then the averaged weights

    def quality(model: Seq2Seq) -> float:
        seen.append({name: tensor.clone() for name, tensor in weights(model).items()})
        return next(scores)

    engine.quality = quality
    result = engine.run()
    assert (result.best_step, result.averaged, result.final_bleu) == (24, [12, 18, 24], 99.0)
    for name, tensor in weights(engine.model).items():
        torch.testing.assert_close(tensor, (seen[1][name] + seen[2][name] + seen[3][name]) / 3)


def test_a_worse_average_is_not_used(run: Run) -> None:
    engine = run.engine(max_steps=18, average=3)
    scores = iter([1.0, 2.0, 3.0, 0.5])
    engine.quality = lambda model: next(scores)
    result = engine.run()
    assert (result.averaged, result.final_bleu) == ([18], 3.0)


def test_a_gradient_that_is_not_finite_is_skipped_and_too_many_in_a_row_end_the_run(run: Run) -> None:
    engine = run.engine()
    spoil(engine, lambda call: call == 2, math.nan)
    assert engine.run().skipped == 1
    (skipped,) = (report for report in run.reports if isinstance(report, SkippedReport))
    assert skipped.in_a_row == 1
    assert all(tensor.isfinite().all() for tensor in weights(engine.model).values())
    saved, expected = load_file(skipped.saved), run.engine("other").training.epoch(0)[2]
    assert all(torch.equal(saved[f"0.{name}"], tensor) for name, tensor in expected._asdict().items())

    hopeless = run.engine("hopeless")
    spoil(hopeless, lambda call: True, math.inf)
    with pytest.raises(TrainingError, match=r"not finite in 10 updates in a row.*train\.lr.*not-finite-0\.safetensors"):
        hopeless.run()


def spoil(engine: Engine, when: Callable[[int], bool], by: float) -> None:
    """Multiply the losses of some calls of the objective in training mode."""
    original, calls = engine.objective.forward, count()

    def forward(batch: Batch) -> Loss:
        found = original(batch)
        spoiled = engine.objective.training and when(next(calls))
        return found._replace(smoothed=found.smoothed * by) if spoiled else found

    engine.objective.forward = forward  # type: ignore[method-assign]


def test_after_a_damaged_newest_checkpoint_the_result_is_the_same(run: Run, tmp_path: Path) -> None:
    undisturbed = run.train("a")
    with pytest.raises(InterruptError):
        run.engine("b", stop_at=9).run()
    (tmp_path / "b" / "step-00000009" / "model.safetensors").write_bytes(b"rubbish")
    run.reports.clear()
    resumed = run.train("b")
    assert same(undisturbed[1], resumed[1])
    (warning,) = [report for report in run.reports if isinstance(report, WarningReport)]
    assert "step-00000009 is skipped: " in warning.message


def test_r_drop_equals_the_plain_loss_only_without_dropout(run: Run) -> None:
    for dropout in (0.0, 0.3):
        engine = run.engine(f"{dropout}", dropout=dropout, r_drop=5.0)
        batch = engine._next_batch()
        engine.objective.r_drop = 0.0
        torch.manual_seed(7)
        plain = engine.objective(batch)
        engine.objective.r_drop = 5.0
        torch.manual_seed(7)
        both = engine.objective(batch)
        if dropout:
            assert both.smoothed - both.nll > 1.05 * (plain.smoothed - plain.nll)
        else:
            torch.testing.assert_close(both, plain)


def test_the_moving_average_is_validated_and_kept(run: Run) -> None:
    engine = run.engine("ema", ema_decay=0.5, average=1)
    first = {name: tensor.double().clone() for name, tensor in weights(engine.model).items()}
    expected, validated, trajectory = [first], [], []

    def listen(report: Report) -> None:
        if isinstance(report, StepReport):
            trajectory.append({name: tensor.clone() for name, tensor in weights(engine.model).items()})
            keep = min(0.5, report.step / (report.step + 9))
            before, now = expected[-1], trajectory[-1]
            expected.append({name: keep * before[name] + (1 - keep) * now[name].double() for name in now})

    def quality(model: Seq2Seq) -> float:
        validated.append({name: tensor.clone() for name, tensor in weights(model).items()})
        return float(len(validated))

    engine.listen, engine.quality = Listeners([listen]), quality
    result = engine.run()
    for seen, step in zip(validated, (6, 12, 18, 24), strict=True):
        for name, tensor in seen.items():
            torch.testing.assert_close(tensor.double(), expected[step][name], atol=1e-6, rtol=1e-5)
    assert result.best_step == 24
    assert same(validated[-1], weights(engine.model))
    stored = engine.checkpoints.newest()
    assert stored is not None
    assert same(trajectory[-1], stored.weights)
    assert same(validated[-1], stored.average)
    assert not same(trajectory[-1], validated[-1])
    plain = run.engine("plain", average=1)
    plain.run()
    stored = plain.checkpoints.newest()
    assert stored is not None
    assert same(trajectory[-1], stored.weights)  # training itself is unaffected


@pytest.mark.parametrize("ties", ["all", "target", "none"])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("family", FAMILIES)
def test_frozen_embeddings_do_not_change(run: Run, family: str, optimizer: str, ties: str) -> None:
    engine = run.engine(
        family=family, ties=ties, optimizer=optimizer, frozen_steps=5, weight_decay=0.5, lr=0.1, max_steps=7
    )
    tables = [engine.model.source_embedding.weight, engine.model.target_embedding.weight]
    before = [table.detach().clone() for table in tables]
    inner = next(p for p in engine.model.parameters() if all(p is not table for table in tables))
    seen = inner.detach().clone()
    for step in range(1, 8):
        engine._update()
        frozen = [torch.equal(table, old) for table, old in zip(tables, before, strict=True)]
        assert frozen == [step <= 5] * 2
        assert any(table in optimizer.state for optimizer in engine.optimizers for table in tables) == (step > 5)
    assert not torch.equal(inner, seen)


@pytest.mark.parametrize("side", SIDES)
def test_only_the_chosen_table_is_frozen(run: Run, side: Side) -> None:
    engine = run.engine(ties="target", frozen_steps=5, frozen_sides=[side], max_steps=7)
    tables = {"source": engine.model.source_embedding.weight, "target": engine.model.target_embedding.weight}
    before = {name: table.detach().clone() for name, table in tables.items()}
    engine._update()
    assert [name for name in SIDES if torch.equal(tables[name], before[name])] == [side]


def test_untrained_parameters_do_not_change_and_a_resumed_run_ends_the_same(run: Run) -> None:
    change: dict[str, Any] = {"optimizer": "muon", "ema_decay": 0.9, "trained": lambda name: "encoder" not in name}
    before = {name: tensor.clone() for name, tensor in weights(run.engine("x", **change).model).items()}
    undisturbed = run.train("a", **change)
    for name, tensor in undisturbed[1].items():
        assert torch.equal(tensor, before[name]) == ("encoder" in name)
    with pytest.raises(InterruptError):
        run.engine("b", stop_at=13, **change).run()
    assert same(undisturbed[1], run.train("b", **change)[1])


def test_one_early_warning_of_a_growing_loss_names_the_checkpoint_from_before(run: Run) -> None:
    engine = run.engine(lr=3.0, clip_norm=None, max_steps=60, warmup_steps=20, report_every=2)
    engine.run()
    (warning,) = [report for report in run.reports if isinstance(report, WarningReport)]
    assert warning.step < 60
    assert "the training loss diverges" in warning.message
    assert "checkpoint" in warning.message
    assert "train.lr" in warning.message


def test_a_plateau_lowers_the_rate_also_in_a_resumed_run(run: Run) -> None:
    change: dict[str, Any] = {
        "schedule": "plateau", "plateau_factor": 0.5, "plateau_patience": 1, "lr": 0.2, "warmup_steps": 2,
        "validate_every": 4,
    }  # fmt: skip
    undisturbed = run.train("a", **change)
    rates = [row.lr for row in undisturbed[0].history if row.lr is not None]
    assert rates[-1] < rates[0] == 0.2
    with pytest.raises(InterruptError):
        run.engine("b", stop_at=18, **change).run()
    assert run.train("b", **change)[0] == undisturbed[0]


def test_with_only_a_time_limit_the_rate_decays_to_the_end(run: Run) -> None:
    result, _ = run.train(max_steps=None, max_minutes=0.05, schedule="linear", lr=1e-3, validate_every=1000)
    assert result.reason == "max_minutes (0.05) reached"
    rates = [row.lr for row in result.history if row.lr is not None]
    assert max(rates) > 0.5e-3
    assert rates[-1] < 0.2e-3
