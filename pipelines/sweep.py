"""The flow `sweep`: train many settings, compare them, and write the best to a file. docs/SWEEPS.md explains it.

    python -m pipelines sweep sweeps/quick.yaml

However a sweep ended, the same command continues it: its state is kept in scratch/sweeps/NAME.
"""

import argparse
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.concurrency.sync import concurrency
from prefect.logging import get_run_logger
from prefect.states import Completed

from pipelines import ROOT
from pipelines.dag import read_stages
from pipelines.stage import GPU
from pipelines.supervision.clone_lock import hold_clone
from pipelines.supervision.crashed_runs import exclusive_run
from pipelines.supervision.final_states import conclude
from pipelines.supervision.flow_process import run_and_exit
from pipelines.sweeping.clone import base_params, make_clone, settings_of
from pipelines.sweeping.outbox import Outbox
from pipelines.sweeping.space import Sweep, SweepError, read_sweep, setting
from pipelines.sweeping.study import Study, Trial
from pipelines.sweeping.summary import write_artifact
from pipelines.sweeping.trial import STAGE, Place, Result, drop_checkpoints, run_trial
from seqloom.places import SCRATCH

FOLDER = SCRATCH / "sweeps"
GIVE_UP = 3  # failures in a row, with no trial completed, after which the sweep stops: the points are not the cause


@flow(name="sweep", flow_run_name="sweep {space}", persist_result=False)
def sweep(root: Path = ROOT, space: str = "sweeps/quick.yaml", trials: int | None = None) -> State[Any]:
    """Train points of a space, compare them by validation BLEU, and write the best one to a file.

    Args:
        root: The clone to work in; trials train in a copy of it.
        space: The file with the settings to vary, the number of trials and the rule for stopping trials early.
        trials: The number of trials, including those of earlier runs. Default: that of the file.
    """
    return conclude("sweep", root, lambda: _sweep(root, root / space, trials))


def _sweep(root: Path, path: Path, trials: int | None) -> State[Any]:
    wanted = _read(path, settings_of(root), trials)
    folder = root / FOLDER / wanted.name
    place = Place(root, folder / "clone", folder / "trial.log")
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive_run(root):
        make_clone(root, place.clone)
        base = base_params(place.clone)
        wanted = _read(path, base, trials)  # checked against the params.yaml that trials start from
        with hold_clone(place.clone):  # removes DVC's locks of a killed sweep
            study = Study(folder, wanted, {name: setting(base, name) for name in wanted.space})
            for change in study.changed_libraries(_libraries(place.clone)):
                print(f"warning: {change} since this sweep began; earlier trials may differ for that reason")
            outbox = Outbox(folder, root, wanted, study.identity, f"{base['register']['experiment']}-sweeps")
            _run(study, place, outbox)
        best = study.best()
        write_artifact(folder, wanted, study.trials(), best)
    if best is None:
        raise SweepError(f"{path}: no trial was completed; the table says why, and {place.log} has the log of the last")
    return Completed(
        data=study.trials(), message=f"the best of {len(study.trials())}: {wanted.metric} {best.value:.2f}"
    )


def _libraries(clone: Path) -> dict[str, str]:
    """Return the versions of the libraries that a trial trains with."""
    from seqloom.import_closure import closure, libraries  # no other flow needs it

    return libraries(closure(f"seqloom.stages.{STAGE}", clone / "src" / "seqloom").values())


def _read(path: Path, params: Mapping[str, Any], trials: int | None) -> Sweep:
    if trials is not None and trials < 1:
        raise SweepError(f"trials: must be at least 1, got {trials}")
    read = read_sweep(path, params)
    return read if trials is None else read.model_copy(update={"trials": trials})


def _run(study: Study, place: Place, outbox: Outbox) -> None:
    """Train the points of the study and record each in MLflow; if the sweep is stopped, close its runs there."""
    outbox.sweep("running", {}, None)
    failed = 0
    while (trial := study.next()) is not None:
        outbox.trial(trial.number, trial.point, "running")
        _send(outbox)
        try:
            with _gpu(place.clone):
                result = _task(trial)(study, place, trial)
        except BaseException:
            outbox.trial(trial.number, trial.point, "stopped")
            outbox.sweep("stopped", {}, None)
            _send(outbox)
            raise
        outbox.trial(
            trial.number, trial.point, result.state, _metrics(study.sweep, result), result.curves, result.reason
        )
        study.tell(result.state, result.value if result.state == "complete" else None, result.reason)
        drop_checkpoints(place.clone)
        failed = failed + 1 if result.state == "failed" else 0
        if failed >= GIVE_UP and study.best() is None:
            break
    best = study.best()
    value = {} if best is None or best.value is None else {f"best.{study.sweep.metric}": best.value}
    outbox.sweep("failed" if best is None else "complete", value, best.point if best else None)
    _send(outbox)


def _gpu(clone: Path) -> AbstractContextManager[None]:
    """Return a context manager that waits for the GPU, if training needs it."""
    wanted = any(stage.gpu for stage in read_stages(clone) if stage.name == STAGE)
    return concurrency(GPU, strict=False) if wanted else nullcontext()


def _task(trial: Trial) -> Callable[[Study, Place, Trial], Result]:
    return _train.with_options(task_run_name=f"trial {trial.number}")


@task(cache_policy=NO_CACHE, persist_result=False)
def _train(study: Study, place: Place, trial: Trial) -> Result:
    logger = get_run_logger()
    point = ", ".join(f"{name} {value}" for name, value in trial.point.items())
    print(f"\n── trial {trial.number} of {study.sweep.trials}: {point} ──", flush=True)
    logger.info("trial %d: %s", trial.number, point)
    result = run_trial(place, study.sweep, trial.point, study.should_prune)
    restored = " (restored: it was trained before)" if result.restored else ""
    outcome = f"{result.state}{restored} {result.reason}".strip()
    if result.state == "complete":
        outcome = f"{study.sweep.metric} {result.value:.2f}{restored}"
    print(f"trial {trial.number}: {outcome}", flush=True)
    logger.info("trial %d: %s", trial.number, outcome)
    return result


def _metrics(wanted: Sweep, result: Result) -> dict[str, float]:
    measured = {wanted.metric: result.value, "steps": result.steps}
    return {name: float(value) for name, value in measured.items() if value is not None}


def _send(outbox: Outbox) -> None:
    if fault := outbox.send():
        print(f"warning: the trial could not be sent to MLflow, and is sent with the next one: {fault}", flush=True)


def main(arguments: list[str]) -> None:
    """Run the flow with command-line arguments."""
    parser = argparse.ArgumentParser("python -m pipelines sweep", description="Train many settings, keep the best.")
    parser.add_argument(
        "space", metavar="FILE", nargs="?", default="sweeps/quick.yaml", help="the space to search, as YAML"
    )
    parser.add_argument("--trials", metavar="N", type=int, help="number of trials, including those of earlier runs")
    given = parser.parse_args(arguments)
    run_and_exit(ROOT, lambda: sweep(ROOT, given.space, given.trials, return_state=True))
