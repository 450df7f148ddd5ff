"""A run that was stopped or killed ends with the weights of a run that was not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from seqloom.models.catalogue import weights
from seqloom.training.engine import InterruptError
from seqloom.training.reports import StepReport, WarningReport
from tests.training.runs import RECIPES, Run, same


@pytest.mark.parametrize(
    ("stop_at", "change"),
    [(stop_at, {}) for stop_at in (1, 4, 6, 13, 23)]
    + [pytest.param(13, change, id=name) for name, change in RECIPES.items()]
    + [pytest.param(5, RECIPES[name], id=f"{name}, early") for name in ("ema", "frozen", "all of them")],
)
def test_an_interrupted_run_ends_with_the_same_weights(run: Run, stop_at: int, change: dict[str, Any]) -> None:
    undisturbed = run.undisturbed(**change)
    with pytest.raises(InterruptError):
        run.engine("b", stop_at=stop_at, **change).run()
    torch.manual_seed(999)  # must not matter
    resumed = run.train("b", **change)
    assert same(undisturbed[1], resumed[1])
    assert undisturbed[0] == resumed[0]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("when", [3, 12, 24])
def test_a_killed_run_ends_with_the_same_weights(run: Run, moment: str, when: int) -> None:
    class Killed(BaseException):
        pass

    undisturbed = run.undisturbed()
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


def test_after_a_damaged_newest_checkpoint_the_result_is_the_same(run: Run, tmp_path: Path) -> None:
    undisturbed = run.undisturbed()
    with pytest.raises(InterruptError):
        run.engine("b", stop_at=9).run()
    (tmp_path / "b" / "step-00000009" / "model.safetensors").write_bytes(b"rubbish")
    run.reports.clear()
    resumed = run.train("b")
    assert same(undisturbed[1], resumed[1])
    (warning,) = [report for report in run.reports if isinstance(report, WarningReport)]
    assert "step-00000009 is skipped: " in warning.message


def test_untrained_parameters_do_not_change_and_a_resumed_run_ends_the_same(run: Run) -> None:
    change: dict[str, Any] = {"optimizer": "muon", "ema_decay": 0.9, "trained": lambda name: "encoder" not in name}
    before = {name: tensor.clone() for name, tensor in weights(run.engine("x", **change).model).items()}
    undisturbed = run.train("a", **change)
    for name, tensor in undisturbed[1].items():
        assert torch.equal(tensor, before[name]) == ("encoder" in name)
    with pytest.raises(InterruptError):
        run.engine("b", stop_at=13, **change).run()
    assert same(undisturbed[1], run.train("b", **change)[1])


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
