"""The flow `sweep`: many trainings, one comparison, and the best settings as a file. docs/SWEEPS.md is its manual.

    python -m pipelines sweep sweeps/quick.yaml

It goes on from where it was, however it ended: its memory is a file in scratch/sweeps/NAME.
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
from pipelines.command import run_here
from pipelines.dag import read_stages
from pipelines.endings import conclude
from pipelines.shift import at_work
from pipelines.stage import GPU
from pipelines.sweeping.clone import base_params, make_clone, settings_of
from pipelines.sweeping.records import Records
from pipelines.sweeping.space import Sweep, SweepError, read_sweep, setting
from pipelines.sweeping.study import Study, Trial
from pipelines.sweeping.summary import publish
from pipelines.sweeping.trial import STAGE, Place, Result, drop_checkpoints, run_trial
from pipelines.workspace import alone

FOLDER = Path("scratch/sweeps")
GIVE_UP = (
    3  # trials that fail one after the other before any came to its end: then it is not the point that is at fault
)


@flow(name="sweep", flow_run_name="sweep {space}", persist_result=False)
def sweep(root: Path = ROOT, space: str = "sweeps/quick.yaml", trials: int | None = None) -> State[Any]:
    """Train points of a space, compare them by validation BLEU, and leave the best one as a file.

    Args:
        root: The clone to work in; trials train in a copy of it.
        space: The file that says what may vary, how many trials there are, and when one is given up.
        trials: How many there are to be, those of earlier runs included. Left out: as many as the file says.
    """
    return conclude("sweep", root, lambda: _sweep(root, root / space, trials))


def _sweep(root: Path, path: Path, trials: int | None) -> State[Any]:
    asked = _read(path, settings_of(root), trials)
    folder = root / FOLDER / asked.name
    place = Place(root, folder / "clone", folder / "trial.log")
    folder.mkdir(parents=True, exist_ok=True)
    with at_work(root):
        make_clone(root, place.clone)
        base = base_params(place.clone)
        asked = _read(path, base, trials)  # against the params.yaml that trials are made from
        with alone(place.clone):  # DVC's locks there may be those of a sweep that was killed
            study = Study(folder, asked, {name: setting(base, name) for name in asked.space})
            for change in study.changed_libraries(_libraries(place.clone)):
                print(f"warning: {change} since this sweep began; trials from before may differ for that reason")
            records = Records(folder, root, asked, study.identity, f"{base['register']['experiment']}-sweeps")
            _run(study, place, records)
        best = study.best()
        publish(folder, asked, study.trials(), best)
    if best is None:
        raise SweepError(f"{path}: no trial was completed; the table says why, and {place.log} has the log of the last")
    return Completed(data=study.trials(), message=f"the best of {len(study.trials())}: {asked.metric} {best.value:.2f}")


def _libraries(clone: Path) -> dict[str, str]:
    """The versions of the libraries that a trial trains with."""
    from seqloom.import_closure import closure, libraries  # which no other flow needs

    return libraries(closure(f"seqloom.stages.{STAGE}", clone / "src" / "seqloom").values())


def _read(path: Path, params: Mapping[str, Any], trials: int | None) -> Sweep:
    if trials is not None and trials < 1:
        raise SweepError(f"trials: there must be at least one, got {trials}")
    read = read_sweep(path, params)
    return read if trials is None else read.model_copy(update={"trials": trials})


def _run(study: Study, place: Place, records: Records) -> None:
    """Train what the study says, and let MLflow know of each; what stops the sweep closes its runs."""
    records.sweep("running", {}, None)
    failed = 0
    while (trial := study.next()) is not None:
        records.trial(trial.number, trial.point, "running")
        _send(records)
        try:
            with _gpu(place.clone):
                result = _task(trial)(study, place, trial)
        except BaseException:
            records.trial(trial.number, trial.point, "stopped")
            records.sweep("stopped", {}, None)
            _send(records)
            raise
        records.trial(
            trial.number, trial.point, result.state, _metrics(study.sweep, result), result.curves, result.reason
        )
        study.tell(result.state, result.value if result.state == "complete" else None, result.reason)
        drop_checkpoints(place.clone)
        failed = failed + 1 if result.state == "failed" else 0
        if failed >= GIVE_UP and study.best() is None:
            break
    best = study.best()
    value = {} if best is None or best.value is None else {f"best.{study.sweep.metric}": best.value}
    records.sweep("failed" if best is None else "complete", value, best.point if best else None)
    _send(records)


def _gpu(clone: Path) -> AbstractContextManager[None]:
    """The right to train on the GPU, for which a trial waits, as any training does."""
    wanted = any(stage.gpu for stage in read_stages(clone) if stage.name == STAGE)
    return concurrency(GPU, strict=False) if wanted else nullcontext()


def _task(trial: Trial) -> Callable[[Study, Place, Trial], Result]:
    return _train.with_options(task_run_name=f"trial {trial.number}")


@task(cache_policy=NO_CACHE, persist_result=False)
def _train(study: Study, place: Place, trial: Trial) -> Result:
    logger = get_run_logger()
    told = ", ".join(f"{name} {value}" for name, value in trial.point.items())
    print(f"\n── trial {trial.number} of {study.sweep.trials}: {told} ──", flush=True)
    logger.info("trial %d: %s", trial.number, told)
    result = run_trial(place, study.sweep, trial.point, study.should_prune)
    restored = " (restored: it was trained before)" if result.restored else ""
    said = f"{result.state}{restored} {result.reason}".strip()
    if result.state == "complete":
        said = f"{study.sweep.metric} {result.value:.2f}{restored}"
    print(f"trial {trial.number}: {said}", flush=True)
    logger.info("trial %d: %s", trial.number, said)
    return result


def _metrics(asked: Sweep, result: Result) -> dict[str, float]:
    measured = {asked.metric: result.value, "steps": result.steps}
    return {name: float(value) for name, value in measured.items() if value is not None}


def _send(records: Records) -> None:
    if fault := records.send():
        print(f"warning: MLflow was not told, and will be with the next trial: {fault}", flush=True)


def main(arguments: list[str]) -> None:
    """Run the flow as the arguments say."""
    parser = argparse.ArgumentParser("python -m pipelines sweep", description="Train many settings, keep the best.")
    parser.add_argument("space", metavar="FILE", nargs="?", default="sweeps/quick.yaml", help="what may vary, as YAML")
    parser.add_argument("--trials", metavar="N", type=int, help="how many, those of earlier runs included")
    given = parser.parse_args(arguments)
    run_here(ROOT, lambda: sweep(ROOT, given.space, given.trials, return_state=True))
