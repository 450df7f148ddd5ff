"""What a study suggests, also after a kill."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from pipelines.sweeping.clone import make_clone
from pipelines.sweeping.space import Point, Sweep, SweepError
from pipelines.sweeping.study import Study, Trial

BASE = {"train.lr": 0.003, "model.dropout": 0.1}
SPACE = {"train.lr": {"float": [0.001, 0.1], "log": True}, "model.dropout": {"float": [0.0, 0.3], "step": 0.1}}


def a_sweep(**changes: Any) -> Sweep:
    return Sweep.model_validate({"name": "x", "trials": 8, "pruner": {"name": "none"}, "space": SPACE} | changes)


def height(point: Point) -> float:
    return 30 - 100 * abs(point["train.lr"] - 0.02) - 10 * float(point["model.dropout"])


def finish(study: Study, until: Callable[[Trial], bool] = lambda trial: False) -> list[Trial]:
    """Report a result for every trial, up to one at which the sweep is killed."""
    while (trial := study.next()) is not None:
        if until(trial):
            break
        study.tell("complete", height(trial.point), "")
    return study.trials()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[Trial]:
    """The trials of a sweep that is not killed."""
    return finish(Study(tmp_path_factory.mktemp("undisturbed"), a_sweep(), BASE))


def test_params_yaml_comes_first_and_the_same_seed_suggests_the_same(tmp_path: Path, undisturbed: list[Trial]) -> None:
    (tmp_path / "b").mkdir(), (tmp_path / "c").mkdir()
    assert undisturbed[0].point == BASE
    assert len(undisturbed) == 8
    assert finish(Study(tmp_path / "b", a_sweep(), BASE)) == undisturbed
    assert finish(Study(tmp_path / "c", a_sweep(seed=1), BASE)) != undisturbed


@pytest.mark.parametrize("where", [1, 2, 8])
def test_after_a_kill_the_same_trial_is_suggested_again_and_then_the_same_ones(
    tmp_path: Path, undisturbed: list[Trial], where: int
) -> None:
    for _ in range(2):  # and is killed there again
        assert finish(Study(tmp_path, a_sweep(), BASE), lambda trial: trial.number == where) == undisturbed[: where - 1]
    assert finish(Study(tmp_path, a_sweep(), BASE)) == undisturbed


def test_every_point_of_a_small_space_is_tried_once(tmp_path: Path) -> None:
    space = {"train.lr": {"choice": [0.01, 0.02]}, "model.dropout": {"float": [0.0, 0.3], "step": 0.1}}
    study = Study(tmp_path, a_sweep(trials=50, space=space), {"train.lr": 0.5, "model.dropout": 0.1})
    points = [tuple(trial.point.values()) for trial in finish(study)]
    assert sorted(points) == [(lr, dropout) for lr in (0.01, 0.02) for dropout in (0.0, 0.1, 0.2, 0.3)]
    best = study.best()
    assert best is not None
    assert best.point == {"train.lr": 0.02, "model.dropout": 0.0}


def test_a_failed_trial_is_tried_again_when_the_study_is_opened_and_not_before(tmp_path: Path) -> None:
    study = Study(tmp_path, a_sweep(trials=2), BASE)
    first = study.next()
    study.tell("failed", None, "the disk is full")
    second = study.next()
    assert first is not None
    assert second is not None
    assert first.point != second.point
    study.tell("complete", 1.0, "")
    assert [(trial.state, trial.reason) for trial in study.trials()] == [
        ("failed", "the disk is full"),
        ("complete", ""),
    ]
    assert study.next() is None
    again = Study(tmp_path, a_sweep(trials=2), BASE)
    third = again.next()
    assert third is not None
    assert third.point == first.point
    again.tell("complete", 2.0, "")
    assert [trial.value for trial in again.trials()] == [1.0, 2.0]
    assert again.identity == study.identity


def test_a_trial_below_the_others_at_its_step_is_pruned(tmp_path: Path) -> None:
    study = Study(tmp_path, a_sweep(trials=3, pruner={"startup_trials": 1, "warmup_steps": 15}), BASE)
    study.next()
    assert not any(study.should_prune(step, 10.0 + step) for step in (10, 20))
    study.tell("complete", 30.0, "")
    study.next()
    assert not study.should_prune(10, 1.0)  # not before its warm-up
    assert study.should_prune(20, 2.0)
    study.tell("pruned", 2.0, "bad")
    assert [(trial.state, trial.value) for trial in study.trials()] == [("complete", 30.0), ("pruned", 2.0)]


def test_another_space_is_refused_but_more_trials_are_not(tmp_path: Path) -> None:
    Study(tmp_path, a_sweep(), BASE)
    Study(tmp_path, a_sweep(trials=9, pruner={"name": "halving"}), BASE)
    with pytest.raises(SweepError, match=r"holds a sweep with another sampler, space: .* remove that folder"):
        Study(tmp_path, a_sweep(sampler="random", space=dict([*SPACE.items()][:1])), BASE)


def test_libraries_that_changed_since_the_sweep_began_are_listed(tmp_path: Path) -> None:
    assert Study(tmp_path, a_sweep(), BASE).changed_libraries({"torch": "2.11", "numpy": "2.4"}) == []
    again = Study(tmp_path, a_sweep(), BASE)
    assert again.changed_libraries({"torch": "2.11", "numpy": "2.4"}) == []
    assert again.changed_libraries({"torch": "2.12", "sacrebleu": "2.6"}) == [
        "numpy was 2.4, is not installed", "sacrebleu was not installed, is 2.6", "torch was 2.11, is 2.12",
    ]  # fmt: skip


def test_a_study_whose_copy_of_the_clone_is_missing_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "scratch" / "sweeps" / "mine"
    folder.mkdir(parents=True)
    Study(folder, a_sweep(), BASE)
    with pytest.raises(SweepError, match=r"mine/clone, .* is missing; .* Remove .*mine to start again"):
        make_clone(tmp_path, folder / "clone")


def test_optuna_is_quiet() -> None:
    assert optuna.logging.get_verbosity() == optuna.logging.ERROR
