"""One file among the artifacts of a run, read without keeping it."""

import tempfile
from pathlib import Path

from seqloom.tracking.client.library import MlflowException, mlflow
from seqloom.tracking.client.store import Store, refusals


def read_artifact(store: Store, run_id: str, path: str) -> bytes | None:
    """The content of an artifact, or None where the run has no such file. Raises `RegistryError`."""
    with refusals(store), tempfile.TemporaryDirectory(prefix="seqloom-") as folder:
        parent = path.rpartition("/")[0]
        if not any(file.path == path for file in store.client.list_artifacts(run_id, parent or None)):
            return None
        try:
            found = mlflow.artifacts.download_artifacts(
                run_id=run_id, artifact_path=path, dst_path=folder, tracking_uri=store.uri
            )
        except (OSError, MlflowException):
            return None  # the store remembers a file that is gone
        return Path(found).read_bytes()
