"""The saved view "Scores" of an experiment: the runs table of MLflow's page with the columns that matter, best first.

By default that table has no metric column. MLflow 3.17 keeps saved views as tags of the experiment: they are listed in
its menu "Views", and a link opens one. The page also takes the mode "Model training" from its link only; without it a
new browser opens the experiment for GenAI, whatever its tag `mlflow.experimentKind` says.
"""

import json
from typing import Any
from urllib.parse import urlencode

from seqloom.evaluation.settings import LEADING, METRICS, Task
from seqloom.tracking.client.store import Store, refusals

KEY, NAME = "scores", "Scores"
TAG = f"mlflow.sharedViewState.{KEY}"
CHARTS = "CHART"  # a mode of the runs page
_CURVES = ("valid/bleu", "train/tokens_per_s", "train/seconds")
_PARAMS = ("train.lr", "train.max_steps", "train.seed")  # more would not fit 1600 pixels; the run's name has the family
_TRAINING = {"workflowType": "machine_learning"}


def columns(task: Task) -> list[str]:
    """Return the columns of the view, as MLflow's page names them."""
    metrics = [f"metrics.`{name}`" for name in (*(f"test/{score}" for score in METRICS[task]), *_CURVES)]
    return [*metrics, *(f"params.`{name}`" for name in _PARAMS)]


def save_view(store: Store, experiment: str, task: Task | None = None) -> None:
    """Save the view in the experiment of that id, unless it is there already.

    Without a task, any view that is there stays; a new one is sorted by validation BLEU, as nothing is tested yet.

    Raises:
        RegistryError: the store refuses.
    """
    with refusals(store):
        found = store.client.get_experiment(experiment)
        if task is None and TAG in found.tags:
            return
        view = _view(task, found.creation_time or 0)
        if found.tags.get(TAG) != view:
            store.client.set_experiment_tag(experiment, TAG, view)


def find(store: Store, name: str | None) -> str | None:
    """Return the id of the experiment of that name with the view saved in it, or None if there is none yet.

    Raises:
        RegistryError: the store refuses.
    """
    with refusals(store):
        found = None if name is None else store.client.get_experiment_by_name(name)
    if found is None or found.lifecycle_stage != "active":
        return None
    save_view(store, found.experiment_id)
    return str(found.experiment_id)


def page(server: str, experiment: str | None = None, mode: str | None = None) -> str:
    """Return the address of the view on the MLflow server at `server`; without an experiment, of the list of them."""
    if experiment is None:
        return f"{server}/#/experiments?{urlencode(_TRAINING)}"
    query = _TRAINING | {"viewStateShareKey": KEY} | ({"compareRunsMode": mode} if mode is not None else {})
    return f"{server}/#/experiments/{experiment}/runs?{urlencode(query)}"


def _view(task: Task | None, created: int) -> str:
    first = "valid/bleu" if task is None else f"test/{LEADING[task]}"
    state: dict[str, Any] = {
        "orderByKey": f"metrics.`{first}`",
        "orderByAsc": False,
        "selectedColumns": columns(task or "translation"),
    }
    return json.dumps({"name": NAME, "createdAt": created, "updatedAt": created, "state": json.dumps(state)})
