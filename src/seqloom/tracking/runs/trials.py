"""Logs sweeps: a run for the sweep, with a child run for each trial.

A record may be sent again after a kill or a failed request. Runs are found by their tags, and nothing is logged twice.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, ValidationError

from seqloom.errors import RegistryError
from seqloom.settings import Settings
from seqloom.tracking.client.library import mlflow
from seqloom.tracking.client.run_data import log_metrics, log_params, logged_steps
from seqloom.tracking.client.store import Store, experiment_id, registry_errors
from seqloom.tracking.runs.page import save_view

SWEEP, POINT = "seqloom.sweep", "seqloom.point"  # tags of runs
_WHOLE = "all"  # the point of the run of the sweep itself


class TrialRecord(Settings):
    """The state of a sweep or of one of its trials."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=True)

    sweep: str = Field(min_length=1)  # id of the sweep
    experiment: str
    point: str | None  # id of the trial; None: the sweep itself
    name: str
    state: Literal["RUNNING", "FINISHED", "KILLED", "FAILED"]
    time: float  # seconds since the epoch
    params: dict[str, str]
    metrics: dict[str, float]
    # Metric, step, value. Not strict, because JSON has arrays instead of tuples.
    curves: list[Annotated[tuple[str, int, float], Field(strict=False)]]
    tags: dict[str, str]


def read_record(path: Path) -> TrialRecord:
    """Read a record from a JSON file. Raises `RegistryError` if it is not one."""
    try:
        return TrialRecord.model_validate_json(path.read_bytes())
    except (ValueError, ValidationError) as error:
        raise RegistryError(f"{path}: is not a record of a trial: {' '.join(str(error).split())}") from error


def log_trial(store: Store, record: TrialRecord) -> str:
    """Log a record and return the id of its run. Raises `RegistryError` if the store refuses."""
    with registry_errors(store):
        home = experiment_id(store, record.experiment)
        parent = None
        if record.point is not None:
            parent = _find(store, home, record.sweep, _WHOLE) or _create(store, home, record, _WHOLE, None)
        point = record.point or _WHOLE
        run_id = _find(store, home, record.sweep, point) or _create(store, home, record, point, parent)
        _write(store, run_id, record)
        return run_id


def _find(store: Store, home: str, sweep: str, point: str) -> str | None:
    found = store.client.search_runs(
        [home], f"tags.`{SWEEP}` = '{sweep}' and tags.`{POINT}` = '{point}'", max_results=1
    )
    return str(found[0].info.run_id) if found else None


def _create(store: Store, home: str, record: TrialRecord, point: str, parent: str | None) -> str:
    tags = {SWEEP: record.sweep, POINT: point} | ({"mlflow.parentRunId": parent} if parent else {})
    name = record.name if point != _WHOLE or record.point is None else record.name.rpartition(" ")[0]
    run = store.client.create_run(home, start_time=round(record.time * 1000), run_name=name, tags=tags)
    save_view(store, home)
    return str(run.info.run_id)


def _write(store: Store, run_id: str, record: TrialRecord) -> None:
    client, time = store.client, round(record.time * 1000)
    known = client.get_run(run_id).data
    log_params(store, run_id, {name: value for name, value in record.params.items() if name not in known.params})
    values = [
        *_unknown(store, run_id, known.metrics, record),
        *((name, 0, record.metrics[name]) for name in record.metrics),
    ]
    log_metrics(store, run_id, [mlflow.entities.Metric(metric, value, time, step) for metric, step, value in values])
    for name, value in record.tags.items():
        client.set_tag(run_id, name, value)
    if record.state == "RUNNING":
        client.update_run(run_id, status=record.state)
    else:
        client.set_terminated(run_id, record.state, time)


def _unknown(
    store: Store, run_id: str, known: Mapping[str, float], record: TrialRecord
) -> list[tuple[str, int, float]]:
    """Return the points of the curves that the run does not have yet."""
    metrics = {metric for metric, _, _ in record.curves}
    there = logged_steps(store, run_id, metrics & known.keys())
    return [(metric, step, value) for metric, step, value in record.curves if (metric, step) not in there]
