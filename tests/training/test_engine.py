import math
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from seqloom.batching.batches import Batch
from seqloom.batching.store import TokenStore
from seqloom.errors import TrainingError
from seqloom.models.catalogue import weights
from seqloom.models.seq2seq import Seq2Seq
from seqloom.models.settings import SIDES, Side
from seqloom.training import engine
from seqloom.training.engine import Engine
from seqloom.training.loss import Loss
from seqloom.training.reports import Listeners, Report, SkippedReport, StepReport, ValidationReport, WarningReport
from seqloom.training.settings import TrainSettings
from tests.training.runs import FAMILIES, RECIPES, Run, same


@pytest.fixture
def run(store: TokenStore, train_settings: TrainSettings, tmp_path: Path) -> Run:
    return Run(store, train_settings, tmp_path)


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


def test_every_recipe_changes_the_weights(run: Run) -> None:
    def after_three_updates(**change: Any) -> dict[str, torch.Tensor]:
        engine = run.engine(**change)
        for _ in range(3):
            engine._update()
        return weights(engine.model) if engine.moving is None else engine.moving.tensors

    plain = after_three_updates()
    for name, change in RECIPES.items():
        assert "family" in change or not same(plain, after_three_updates(**change)), name


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


def test_one_early_warning_of_a_growing_loss_names_the_checkpoint_from_before(run: Run) -> None:
    engine = run.engine(lr=3.0, clip_norm=None, max_steps=60, warmup_steps=20, report_every=2)
    engine.run()
    (warning,) = [report for report in run.reports if isinstance(report, WarningReport)]
    assert warning.step < 60
    assert "the training loss diverges" in warning.message
    assert "checkpoint" in warning.message
    assert "train.lr" in warning.message


def test_with_only_a_time_limit_the_rate_decays_to_the_end(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count()
    monkeypatch.setattr(engine, "time", SimpleNamespace(monotonic=lambda: next(calls) / 30))  # three calls an update
    result, _ = run.train(max_steps=None, max_minutes=0.05, schedule="linear", lr=1e-3, validate_every=1000)
    assert result.reason == "max_minutes (0.05) reached"
    rates = [row.lr for row in result.history if row.lr is not None]
    assert max(rates) > 0.5e-3
    assert rates[-1] < 0.2e-3
