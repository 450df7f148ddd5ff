"""What MLflow's page shows of runs: metrics, tables among the artifacts, and the saved view of an experiment.

MLflow groups charts by the part of a metric's name before the last slash, and sorts groups and columns by name. To keep
the page clear a run has few metrics: scores below `test/`, curves and costs below `train/` and `valid/`. The table
numbers.json has every number of the result.

The saved view "Scores" is the table of runs with the columns that matter, best first; by default that table has no
metrics. MLflow 3.17 stores saved views as tags of the experiment, lists them in its menu "Views", and opens one from a
link. The link also sets the mode "Model training". Without it a new browser opens the experiment in the mode for GenAI,
whatever its tag `mlflow.experimentKind` is.
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

TABLE = "samples.json"  # segments of the test split, from the worst chrF to the best
NUMBERS = "numbers.json"  # all numbers of the result
_NUMBERS_HEADS = ("group", "name", "value")
_KEPT = "placeholder_accuracy"  # a test score without an interval
_TABLES = "mlflow.loggedArtifacts"  # tag of runs: the artifacts that MLflow's page shows as tables
_MOST_CHARACTERS = 1000  # of a text in a table; the rest is cut off
_VIEW, _VIEW_NAME = "scores", "Scores"
VIEW_TAG = f"mlflow.sharedViewState.{_VIEW}"  # of experiments
CHARTS = "CHART"  # the mode of the page that shows charts
_VIEW_CURVES = ("valid/bleu", "train/tokens_per_s", "train/seconds")
_VIEW_PARAMS = ("train.lr", "train.max_steps", "train.seed")  # more do not fit on 1600 pixels
_TRAINING = {"workflowType": "machine_learning"}


class Sample(NamedTuple):
    """A segment of the test split with the model's output."""

    source: str
    reference: str
    hypothesis: str
    chrf: float


def metrics_of(numbers: Mapping[str, float], leading: str) -> dict[str, float]:
    """Return the numbers to log as metrics: the test scores, and the leading score of each direction."""
    shown = {f"test/{score}" for score in (*TITLES, _KEPT)}
    return {
        name: value
        for name, value in numbers.items()
        if name in shown or (name.startswith("test/") and name.count("/") == 2 and name.endswith(f"/{leading}"))
    }


def is_score(name: str) -> bool:
    """Return whether a metric is a score of the model, as opposed to a curve or a cost of training."""
    return name.startswith("test/")


def log_numbers(store: Store, run_id: str, numbers: Mapping[str, float]) -> None:
    """Log the table numbers.json. The group of a number is the part of its name before the last slash."""
    rows = [(*name.rpartition("/")[::2], value) for name, value in numbers.items()]
    log_table(store, run_id, NUMBERS, _NUMBERS_HEADS, rows)


def read_samples(table: Path, most: int = 50) -> list[Sample]:
    """Return up to `most` segments of reports/evaluation/hypotheses.tsv, evenly spaced by rank from worst to best chrF.

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
    """Log a table that MLflow's page shows, replacing the one logged before.

    MLflow's own function appends to a table, so that logging it again would repeat its rows.
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
    """Return the columns of the saved view, in the names of MLflow's page."""
    metrics = [f"metrics.`{name}`" for name in (*(f"test/{score}" for score in METRICS[task]), *_VIEW_CURVES)]
    return [*metrics, *(f"params.`{name}`" for name in _VIEW_PARAMS)]


def save_view(store: Store, experiment: str, task: Task | None = None) -> None:
    """Save the view in the experiment of that id, unless it is saved already.

    Without a task a view that exists is kept, and a new one is sorted by validation BLEU, as there are no test scores.

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
    """Return the id of the experiment of that name after saving the view in it, or None if it does not exist.

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
    """Return the URL of the saved view, or of the list of experiments if `experiment` is None."""
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
