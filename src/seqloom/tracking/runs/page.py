"""What MLflow's page shows of a run: which numbers are metrics, and the tables among its artifacts.

MLflow groups charts by the part of a metric's name before the last slash and sorts the groups and the columns by name.
A run has few metrics, so that people find them: `test/` the scores, `train/` and `valid/` the curves and the cost.
Every number, these included, is a row of the table numbers.json.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from seqloom.errors import RegistryError
from seqloom.evaluation.settings import LEADING, METRICS, TITLES, Task
from seqloom.tracking.client.store import Store, registry_errors

TABLE = "samples.json"  # sentences of the test split, from the worst to the best translated
NUMBERS = "numbers.json"  # every number of the result
_NUMBERS_HEADS = ("group", "name", "value")
_KEPT = "placeholder_accuracy"  # a score of the test that has no interval
_TABLES = "mlflow.loggedArtifacts"  # the tag by which MLflow's page knows which artifacts are tables
_MOST_CHARACTERS = 1000  # of a text in a table
_VIEW, _VIEW_NAME = "scores", "Scores"
VIEW_TAG = f"mlflow.sharedViewState.{_VIEW}"  # of experiments
CHARTS = "CHART"  # a mode of the runs page
_VIEW_CURVES = ("valid/bleu", "train/tokens_per_s", "train/seconds")
_VIEW_PARAMS = (
    "train.lr",
    "train.max_steps",
    "train.seed",
)  # more would not fit 1600 pixels
_TRAINING = {"workflowType": "machine_learning"}


class Sample(NamedTuple):
    """A segment of the test split and what the model made of it."""

    source: str
    reference: str
    hypothesis: str
    chrf: float


def metrics_of(numbers: Mapping[str, float], leading: str) -> dict[str, float]:
    """Return the numbers that are metrics: the scores of the test split, and the leading one of each direction."""
    shown = {f"test/{score}" for score in (*TITLES, _KEPT)}
    return {
        name: value
        for name, value in numbers.items()
        if name in shown or (name.startswith("test/") and name.count("/") == 2 and name.endswith(f"/{leading}"))
    }


def is_score(name: str) -> bool:
    """Return whether a metric is a score of the model, and not a curve or a cost of its training."""
    return name.startswith("test/")


def log_numbers(store: Store, run_id: str, numbers: Mapping[str, float]) -> None:
    """Write the table numbers.json: a row per number, with the part of its name before the last slash as its group."""
    rows = [(*name.rpartition("/")[::2], value) for name, value in numbers.items()]
    log_table(store, run_id, NUMBERS, _NUMBERS_HEADS, rows)


def read_samples(table: Path, most: int = 50) -> list[Sample]:
    """Some segments of reports/evaluation/hypotheses.tsv, spread evenly from the worst chrF to the best.

    Raises:
        RegistryError: the table cannot be read.
    """
    try:
        with table.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            found = [
                Sample(
                    _short(row["source"]),
                    _short(row["reference"]),
                    _short(row["hypothesis"]),
                    float(row.get("chrf") or 0),
                )
                for row in rows
            ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RegistryError(f"{table}: cannot be read as a table; `dvc repro evaluate_model` makes it") from error
    found.sort(key=lambda sample: (sample.chrf, sample.source))
    if len(found) <= most:
        return found
    return [found[round(place * (len(found) - 1) / (most - 1))] for place in range(most)]


def log_table(store: Store, run_id: str, file: str, heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Keep a table among a run's artifacts, in place of the one before, where the page shows it as one.

    MLflow's own call adds to the table that is there, so that logging twice shows every row twice.
    """
    with registry_errors(store):
        content = {"columns": list(heads), "data": [list(row) for row in rows]}
        store.client.log_text(run_id, json.dumps(content, ensure_ascii=False), file)
        known = json.loads(store.client.get_run(run_id).data.tags.get(_TABLES, "[]"))
        entry: Mapping[str, str] = {"path": file, "type": "table"}
        if entry not in known:
            store.client.set_tag(run_id, _TABLES, json.dumps([*known, entry]))


def _short(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"


def view_columns(task: Task) -> list[str]:
    """Return the columns of the view, as MLflow's page names them."""
    metrics = [f"metrics.`{name}`" for name in (*(f"test/{score}" for score in METRICS[task]), *_VIEW_CURVES)]
    return [*metrics, *(f"params.`{name}`" for name in _VIEW_PARAMS)]


def save_view(store: Store, experiment: str, task: Task | None = None) -> None:
    """Save the view in the experiment of that id, unless it is there already.

    Without a task, any view that is there stays; a new one is sorted by validation BLEU, as nothing is tested yet.

    Raises:
        RegistryError: the store refuses.
    """
    with registry_errors(store):
        found = store.client.get_experiment(experiment)
        if task is None and VIEW_TAG in found.tags:
            return
        view = _view(task, found.creation_time or 0)
        if found.tags.get(VIEW_TAG) != view:
            store.client.set_experiment_tag(experiment, VIEW_TAG, view)


def find_experiment(store: Store, name: str | None) -> str | None:
    """Return the id of the experiment of that name with the view saved in it, or None if there is none yet.

    Raises:
        RegistryError: the store refuses.
    """
    with registry_errors(store):
        found = None if name is None else store.client.get_experiment_by_name(name)
    if found is None or found.lifecycle_stage != "active":
        return None
    save_view(store, found.experiment_id)
    return str(found.experiment_id)


def view_url(server: str, experiment: str | None = None, mode: str | None = None) -> str:
    """Return the address of the view on the MLflow server at `server`; without an experiment, of the list of them."""
    if experiment is None:
        return f"{server}/#/experiments?{urlencode(_TRAINING)}"
    query = _TRAINING | {"viewStateShareKey": _VIEW} | ({"compareRunsMode": mode} if mode is not None else {})
    return f"{server}/#/experiments/{experiment}/runs?{urlencode(query)}"


def _view(task: Task | None, created: int) -> str:
    first = "valid/bleu" if task is None else f"test/{LEADING[task]}"
    state: dict[str, Any] = {
        "orderByKey": f"metrics.`{first}`",
        "orderByAsc": False,
        "selectedColumns": view_columns(task or "translation"),
    }
    return json.dumps({"name": _VIEW_NAME, "createdAt": created, "updatedAt": created, "state": json.dumps(state)})
