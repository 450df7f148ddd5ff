"""The state of a sweep: an Optuna study in a SQLite file, which decides what to try next. It runs nothing.

Suggestions depend only on the seed and on the results so far, so a sweep that is killed and started again tries the
same points. A point is trained once. One whose process was killed, or that failed, is suggested again when the study is
opened.
"""

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from pipelines.sweeping.clone import STUDY
from pipelines.sweeping.space import Dimension, Point, Sweep, SweepError, key

_PATIENCE = 200  # repeated suggestions in a row after which the space counts as exhausted
_REPEATS = 5  # repeated suggestions in a row after which points are drawn at random
_SETTINGS = "settings"  # attributes of the study
_ID = "id"
_LIBRARIES = "libraries"
_POINT, _RETRY, _TWIN, _REASON = "point", "retry_of", "same_as", "reason"  # attributes of trials


class Trial(NamedTuple):
    """A point that was trained or is to be trained."""

    number: int  # from 1, in the order in which trials ended
    point: Point
    state: str  # running, complete, pruned, failed
    value: float | None
    reason: str


class Study:
    """The study of `sweep` in `folder`; only one process may use it. Raises `SweepError` if it is of another sweep."""

    def __init__(self, folder: Path, sweep: Sweep, base: Mapping[str, Any]) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.sweep = sweep
        self._distributions = {name: _distribution(dimension) for name, dimension in sweep.space.items()}
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{folder / STUDY}", engine_kwargs={"connect_args": {"timeout": 60}}
        )
        self._study = optuna.create_study(
            storage=storage, study_name=sweep.name, direction="maximize", load_if_exists=True, pruner=_pruner(sweep)
        )
        self._current: optuna.Trial | None = None
        self._check_settings(folder)
        if not self._study.get_trials(deepcopy=False) and sweep.contains(
            base
        ):  # the settings of params.yaml are tried first
            self._study.enqueue_trial({name: _suggested(sweep.space[name], base[name]) for name in sweep.space})
        self._requeue()

    @property
    def identity(self) -> str:
        """Return a unique name; a later study of the same sweep has another."""
        return str(self._study.user_attrs[_ID])

    def next(self) -> Trial | None:
        """Return what to train now; None after enough trials, or if the space has no new point."""
        for row in range(_PATIENCE):
            done = self.trials()
            if len(done) >= min(self.sweep.trials, self.sweep.size):
                return None
            seed = self.sweep.seed + 1000 * len(done) + self._twins()
            self._study.sampler = _sampler(self.sweep if row < _REPEATS else None, self.sweep.trials, seed)
            current = self._study.ask(self._distributions)
            point = self.sweep.point(current.params)
            current.set_user_attr(_POINT, dict(point))
            twin = next((trial for trial in done if key(trial.point) == key(point)), None)
            if twin is None:
                self._current = current
                return Trial(len(done) + 1, point, "running", None, "")
            current.set_user_attr(_TWIN, twin.number)
            self._study.tell(current, state=TrialState.FAIL)
        return None

    def should_prune(self, step: int, value: float) -> bool:
        """Report a validation of the current trial, and return whether to stop it. Call this once per validation."""
        assert self._current is not None
        self._current.report(value, step)
        return self._current.should_prune()

    def tell(self, state: str, value: float | None, reason: str) -> None:
        """Store the result of the current trial."""
        assert self._current is not None
        if reason:
            self._current.set_user_attr(_REASON, reason)
        states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
        self._study.tell(self._current, value if state == "complete" else None, state=states[state])
        self._current = None

    def trials(self) -> list[Trial]:
        """Return the trials that have ended, in order, each point once and without those that are tried again."""
        every = self._all()
        again = {trial.user_attrs.get(_RETRY) for trial in every}
        ended = (
            trial
            for trial in every
            if trial.state.is_finished()
            and trial.number not in again
            and _POINT in trial.user_attrs
            and _TWIN not in trial.user_attrs
        )
        return [_trial(number, trial) for number, trial in enumerate(ended, 1)]

    def best(self) -> Trial | None:
        """Return the best trial, the first of equal ones; None if no trial was completed."""
        complete = [trial for trial in self.trials() if trial.value is not None and trial.state == "complete"]
        return max(complete, key=lambda trial: (trial.value, -trial.number), default=None)

    def _all(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _twins(self) -> int:
        return sum(_TWIN in trial.user_attrs for trial in self._all())

    def _check_settings(self, folder: Path) -> None:
        """Check that the stored study has the same settings; the number of trials and the pruner may change."""
        settings = self.sweep.model_dump(mode="json", exclude={"trials", "trial_minutes", "pruner"})
        known = self._study.user_attrs.get(_SETTINGS)
        if known is None:
            self._study.set_user_attr(_ID, uuid.uuid4().hex)
            self._study.set_user_attr(_SETTINGS, settings)
        elif known != settings:
            changed = ", ".join(name for name in settings if settings[name] != known.get(name))
            raise SweepError(
                f"{folder} holds a sweep with another {changed}: its trials cannot be compared with new ones. "
                "Give the sweep another name, or remove that folder to start again"
            )

    def changed_libraries(self, now: Mapping[str, str]) -> list[str]:
        """Return which libraries have changed since the sweep began; the first call records their versions."""
        began: dict[str, str] | None = self._study.user_attrs.get(_LIBRARIES)
        if began is None:
            self._study.set_user_attr(_LIBRARIES, dict(now))
            return []
        return [
            f"{name} was {began.get(name, 'not installed')}, is {now.get(name, 'not installed')}"
            for name in sorted(began.keys() | now.keys())
            if began.get(name) != now.get(name)
        ]

    def _requeue(self) -> None:
        """Queue trials that were killed or failed again. A kill between any two writes loses no trial."""
        every = self._all()
        again = {trial.user_attrs.get(_RETRY) for trial in every}
        for trial in every:
            cut_off = trial.state == TrialState.RUNNING
            if not cut_off and (trial.state != TrialState.FAIL or _TWIN in trial.user_attrs):
                continue
            if trial.number not in again and trial.params.keys() == self._distributions.keys():
                self._study.enqueue_trial(trial.params, user_attrs={_RETRY: trial.number})
            if cut_off:
                self._study.tell(trial.number, state=TrialState.FAIL)


def _trial(number: int, trial: FrozenTrial) -> Trial:
    name = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}.get(trial.state, "failed")
    last = max(trial.intermediate_values.items(), default=(0, None))[1]
    value = trial.value if name == "complete" else last
    return Trial(number, trial.user_attrs[_POINT], name, value, trial.user_attrs.get(_REASON, ""))


def _distribution(dimension: Dimension) -> BaseDistribution:
    if dimension.choice is not None:
        return CategoricalDistribution([json.dumps(value) for value in dimension.choice])
    low, high = dimension.bounds
    if dimension.int_:
        return IntDistribution(int(low), int(high), log=dimension.log, step=int(dimension.step or 1))
    return FloatDistribution(low, high, log=dimension.log, step=dimension.step)


def _suggested(dimension: Dimension, value: Any) -> Any:
    """Return a value in Optuna's form: choices as JSON, since they may be lists."""
    return json.dumps(value) if dimension.choice is not None else value


def _sampler(sweep: Sweep | None, trials: int, seed: int) -> optuna.samplers.BaseSampler:
    if sweep is None or sweep.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(3, min(10, trials // 4)))


def _pruner(sweep: Sweep) -> optuna.pruners.BasePruner:
    pruner = sweep.pruner
    if pruner.name == "none":
        return optuna.pruners.NopPruner()
    if pruner.name == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=pruner.startup_trials, n_warmup_steps=pruner.warmup_steps)
    return optuna.pruners.SuccessiveHalvingPruner(reduction_factor=2, min_resource=max(1, pruner.warmup_steps))
