"""Updates are the same if memory or precision does not suffice at first."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from seqloom.batching.batches import Batch
from seqloom.batching.store import TokenStore
from seqloom.errors import TrainingError
from seqloom.models.catalogue import weights
from seqloom.training.device import Placement
from seqloom.training.engine import Engine
from seqloom.training.gradients import portions
from seqloom.training.loss import Loss
from seqloom.training.reports import SkippedReport, SplitReport, StepReport
from seqloom.training.settings import TrainSettings
from tests.training.runs import Run


def hold_at_most(engine: Engine, pairs: int, error: Exception) -> None:
    """Make a forward pass over more than this many pairs run out of memory."""
    original: Callable[[Batch], Loss] = engine.objective.forward

    def forward(batch: Batch) -> Loss:
        found = original(batch)
        if engine.objective.training and len(batch.source) > pairs:
            raise error
        return found

    engine.objective.forward = forward  # type: ignore[method-assign]


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_a_batch_that_exceeds_memory_gives_the_same_update_in_parts(run: Run, error: Exception) -> None:
    whole, parted = run.engine("a", dropout=0.0, accumulate=2), run.engine("b", dropout=0.0, accumulate=2)
    hold_at_most(parted, 3, error)
    batches = [max(whole.training.epoch(0), key=lambda batch: len(batch.source)), whole.training.epoch(0)[0]]
    assert len(batches[0].source) > 12
    expected, found = whole.gradients.of(batches, 1.0), parted.gradients.of(batches, 1.0)
    assert found.tokens == expected.tokens
    assert found.loss == pytest.approx(expected.loss, rel=1e-5)
    for mine, other in zip(parted.model.parameters(), whole.model.parameters(), strict=True):
        assert mine.grad is not None
        torch.testing.assert_close(mine.grad, other.grad, atol=1e-6, rtol=1e-4)
    assert [report.parts for report in run.reports if isinstance(report, SplitReport)] == [2, 4, 8]


def test_a_batch_in_parts_uses_the_same_random_numbers(run: Run) -> None:
    engines = [run.engine(name, dropout=0.5, clip_norm=None) for name in "ab"]
    batch = max(engines[0].training.epoch(0), key=lambda batch: len(batch.source))
    hold_at_most(engines[1], len(batch.source) - 1, torch.OutOfMemoryError("CUDA out of memory"))
    torch.manual_seed(3)
    for piece in portions(batch, 2):
        engines[0].objective.train()
        torch.autograd.backward(engines[0].objective(piece).smoothed)
    torch.manual_seed(3)
    tokens = engines[1].gradients.of([batch], 1.0).tokens
    for expected, found in zip(engines[0].model.parameters(), engines[1].model.parameters(), strict=True):
        assert expected.grad is not None
        torch.testing.assert_close(found.grad, expected.grad / tokens)


def test_a_pair_that_exceeds_memory_is_an_error_with_its_shape(run: Run) -> None:
    engine = run.engine()
    hold_at_most(engine, 0, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(TrainingError, match=r"out of memory on cpu with \d+ pairs of \d+ source and \d+ target tokens"):
        engine.run()


def test_other_errors_are_not_treated_as_out_of_memory(run: Run) -> None:
    engine = run.engine()
    hold_at_most(engine, 0, RuntimeError("something else"))
    with pytest.raises(RuntimeError, match="something else"):
        engine.run()
    assert not any(isinstance(report, SplitReport) for report in run.reports)


def test_parts_add_up_to_the_batch_without_columns_of_padding(store: TokenStore, run: Run) -> None:
    batch = max(run.engine().training.epoch(0), key=lambda batch: len(batch.source))
    pieces = list(portions(batch, 3))
    assert sum(len(piece.source) for piece in pieces) == len(batch.source)
    assert sum(piece.tokens for piece in pieces) == batch.tokens
    for piece in pieces:
        assert piece.source.shape[1] == piece.source_lengths.max()
        assert piece.target_in.shape == piece.target_out.shape
        assert piece.target_out.shape[1] == piece.target_lengths.max()


def test_in_fp16_an_overflow_lowers_the_scale_and_skips_one_update(
    store: TokenStore, train_settings: TrainSettings, tmp_path: Path
) -> None:
    run = Run(store, train_settings, tmp_path)

    def engine(name: str, **change: Any) -> Engine:
        made = run.engine(name, placement=Placement(torch.device("cpu"), "fp16"), max_steps=40, lr=1e-2, **change)
        assert made.state.loss_scale == 2.0**10
        return made

    trained = engine("trained")
    trained.run()
    losses = [report.loss for report in run.reports if isinstance(report, StepReport)]
    assert sum(losses[-10:]) < sum(losses[:10])
    run.reports.clear()
    overflowing = engine("overflowing")
    overflowing.state.loss_scale = 2.0**30
    result = overflowing.run()
    assert result.skipped == 0
    assert not any(isinstance(report, SkippedReport) for report in run.reports)
    steps = [report.step for report in run.reports if isinstance(report, StepReport)]
    assert 5 < steps[0] < 30
    assert overflowing.state.loss_scale == 2.0 ** (30 - (40 - len(steps)))
    assert all(tensor.isfinite().all() for tensor in weights(overflowing.model).values())


def test_the_scale_grows_again_and_is_in_every_checkpoint(run: Run) -> None:
    engine = run.engine(placement=Placement(torch.device("cpu"), "fp16"))
    engine.state.loss_scale, engine.state.scaled_updates = 32.0, 1990
    engine.run()
    assert engine.state.loss_scale == 64
    resumed = run.engine(placement=Placement(torch.device("cpu"), "fp16"))
    resumed.run()
    assert (resumed.state.loss_scale, resumed.state.scaled_updates) == (64, 14)
