"""Reads and writes the data of a run: artifacts, params, metrics and tags.

MLflow limits how many params, metrics and tags one request may hold; these functions send as many requests as needed.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from seqloom.tracking.client.library import MlflowException, mlflow
from seqloom.tracking.client.store import Store, registry_errors

METRICS_AT_ONCE = 1000
_PAGE = 100
_PARAMS_AT_ONCE, _TAGS_AT_ONCE = 100, 100
_Item = TypeVar("_Item")


def read_artifact(store: Store, run_id: str, path: str) -> bytes | None:
    """Return the content of an artifact, or None if the run has no such file.

    Raises:
        RegistryError: the store refuses.
    """
    with registry_errors(store), tempfile.TemporaryDirectory(prefix="seqloom-") as folder:
        parent = path.rpartition("/")[0]
        if not any(file.path == path for file in store.client.list_artifacts(run_id, parent or None)):
            return None
        try:
            found = mlflow.artifacts.download_artifacts(
                run_id=run_id, artifact_path=path, dst_path=folder, tracking_uri=store.uri
            )
        except (OSError, MlflowException):
            return None  # the store lists a file that is gone
        return Path(found).read_bytes()


def log_params(store: Store, run_id: str, params: Mapping[str, Any]) -> None:
    """Log params as strings. MLflow refuses to change a param that the run has."""
    entities = [mlflow.entities.Param(name, str(value)) for name, value in params.items()]
    for batch in batches(entities, _PARAMS_AT_ONCE):
        store.client.log_batch(run_id, params=batch)


def log_metrics(store: Store, run_id: str, metrics: Sequence[Any]) -> None:
    """Log points of curves, as `mlflow.entities.Metric`."""
    for batch in batches(metrics, METRICS_AT_ONCE):
        store.client.log_batch(run_id, metrics=batch)


def log_tags(store: Store, run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags."""
    entities = [mlflow.entities.RunTag(name, value) for name, value in tags.items()]
    for batch in batches(entities, _TAGS_AT_ONCE):
        store.client.log_batch(run_id, tags=batch)


def logged_steps(store: Store, run_id: str, metrics: Iterable[str]) -> set[tuple[str, int]]:
    """Return the metric and the step of every point that the run has of these metrics."""
    return {(metric, point.step) for metric in metrics for point in store.client.get_metric_history(run_id, metric)}


def batches(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    """Yield the items in order, at most `size` at a time."""
    for first in range(0, len(items), size):
        yield items[first : first + size]


def search_all(search: Any, condition: str = "") -> list[Any]:
    """Return everything that a search of MLflow's client finds, page by page."""
    found: list[Any] = []
    token = None
    while True:
        page = search(condition or None, max_results=_PAGE, page_token=token)
        found.extend(page)
        if not (token := page.token):
            return found
