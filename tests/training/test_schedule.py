import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn

from seqloom.training.schedule import WARMUP_SHARE, learning_rate, share_done
from seqloom.training.settings import TrainSettings
from tests import records


def settings(**changes: Any) -> TrainSettings:
    return records.train_settings(**{"lr": 1.0, "validate_every": 1} | changes)


def run(given: TrainSettings, step_minutes: float = 0.0, step_epochs: float = 0.0) -> list[float]:
    """Return the rates of a run whose updates all take the same time, up to its end."""
    rates: list[float] = []
    while share_done(given, done := len(rates), done * step_minutes, done * step_epochs) < 1:
        rates.append(learning_rate(given, done + 1, minutes=done * step_minutes, epochs=done * step_epochs))
    return rates


def largest_jump(rates: list[float]) -> float:
    return max(abs(after - before) for before, after in pairwise(rates))


def test_rises_linearly_and_falls_with_the_square_root() -> None:
    given = settings(warmup_steps=4, schedule="inverse_sqrt")
    assert [learning_rate(given, step) for step in (1, 2, 4, 16, 64)] == pytest.approx([0.25, 0.5, 1, 0.5, 0.25])


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_decays_to_almost_zero_at_the_last_step(schedule: str) -> None:
    rates = run(settings(warmup_steps=10, max_steps=1000, schedule=schedule))
    assert len(rates) == 1000
    assert max(rates) == 1.0
    assert rates[9] == rates[10] == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 0.002
    assert rates[505] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_agrees_with_the_schedules_of_torch(schedule: str) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    falling: torch.optim.lr_scheduler.LRScheduler = (
        torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=90)
        if schedule == "cosine"
        else torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1.0, end_factor=0.0, total_iters=90)
    )
    given = settings(warmup_steps=10, max_steps=100, schedule=schedule)
    for step in range(11, 101):
        assert learning_rate(given, step) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        falling.step()


@pytest.mark.parametrize("schedule", ["inverse_sqrt", "linear", "cosine", "constant", "plateau"])
def test_without_warmup_the_first_step_has_the_full_rate(schedule: str) -> None:
    assert learning_rate(settings(lr=0.5, warmup_steps=0, schedule=schedule), 1) == 0.5


def test_constant_does_not_change_and_plateau_is_multiplied_by_the_factor() -> None:
    constant = settings(lr=0.5, warmup_steps=10, max_steps=100, schedule="constant")
    assert run(constant)[9:] == [0.5] * 91
    plateau = settings(lr=0.5, warmup_steps=10, max_steps=100, schedule="plateau")
    assert run(plateau) == run(constant)
    assert learning_rate(plateau, 50, factor=0.25) == 0.125
    assert learning_rate(constant, 50, factor=0.25) == 0.5


# Runs of 400 updates, limited by time, steps or epochs; the other limits are later or absent.
BOUNDS: dict[str, dict[str, Any]] = {
    "minutes alone": {"max_steps": None, "max_minutes": 20.0},
    "minutes before steps": {"max_steps": 1000, "max_minutes": 20.0},
    "steps before minutes": {"max_steps": 400, "max_minutes": 60.0},
    "epochs alone": {"max_steps": None, "max_epochs": 4},
    "epochs before minutes": {"max_steps": None, "max_epochs": 4, "max_minutes": 21.0},
    "all at once": {"max_steps": 400, "max_epochs": 4, "max_minutes": 20.0},
}


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize("warmup", [0, 1, 50])
@pytest.mark.parametrize("bounds", BOUNDS.values(), ids=BOUNDS)
def test_the_decay_ends_at_the_first_limit(bounds: dict[str, Any], warmup: int, schedule: str) -> None:
    given = settings(schedule=schedule, warmup_steps=warmup, **bounds)
    rates = run(given, step_minutes=1 / 20, step_epochs=1 / 100)
    assert len(rates) in (400, 401)  # in floating point, 400 times 1/20 is not exactly 20
    fallen = rates[warmup:]
    assert fallen[0] == pytest.approx(1.0)
    assert fallen == sorted(fallen, reverse=True)
    assert largest_jump(fallen) < 2 / len(fallen)
    assert 0 <= fallen[-1] < 1 / 300
    same = run(settings(schedule=schedule, warmup_steps=warmup, max_steps=len(rates)))
    assert rates == pytest.approx(same, abs=1e-2)


def test_after_a_long_validation_the_rate_falls_by_the_elapsed_time() -> None:
    given = settings(schedule="linear", warmup_steps=100, max_steps=None, max_minutes=10.0)
    before, after = learning_rate(given, 501, minutes=5.0), learning_rate(given, 501, minutes=5.5)
    assert before == pytest.approx((10 - 5) / (10 - 1))
    assert before - after == pytest.approx(0.5 / 9, rel=0.15)


@pytest.mark.parametrize("schedule", ["inverse_sqrt", "linear", "cosine", "constant"])
def test_a_warmup_that_is_too_long_ends_at_half_time(schedule: str) -> None:
    given = settings(schedule=schedule, warmup_steps=10_000, max_steps=None, max_minutes=10.0)
    rates = run(given, step_minutes=1 / 100)
    half = round(1000 * WARMUP_SHARE)
    assert rates.index(max(rates)) == half
    assert rates[half] == pytest.approx(1.0, abs=1e-3)
    assert largest_jump(rates) < 0.005
    assert rates[half // 2] == pytest.approx(0.5, abs=0.01)
    ends = {"inverse_sqrt": math.sqrt(WARMUP_SHARE), "constant": 1.0}
    assert rates[-1] == pytest.approx(ends.get(schedule, 0.0), abs=0.005)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_after_the_end_the_rate_is_zero_and_never_negative(schedule: str) -> None:
    given = settings(schedule=schedule, warmup_steps=10, max_steps=100, max_epochs=2, max_minutes=1.0)
    assert learning_rate(given, 50) > 0
    for past in ({"step": 101}, {"step": 200}, {"step": 50, "minutes": 1.0}, {"step": 50, "epochs": 2.5}):
        assert learning_rate(given, **past) == 0.0


def test_the_completed_share_is_that_of_the_nearest_limit() -> None:
    given = settings(warmup_steps=0, max_steps=100, max_epochs=4, max_minutes=10.0)
    assert share_done(given, 0) == 0
    assert share_done(given, 50, 1.0, 1.0) == 0.5
    assert share_done(given, 50, 6.0, 1.0) == 0.6
    assert share_done(given, 50, 6.0, 3.0) == 0.75
    assert share_done(given, 50, 11.0, 3.0) == 1
