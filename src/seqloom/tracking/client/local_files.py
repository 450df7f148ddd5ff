"""How MLflow finds artifacts whose location is relative: beside the SQLite file that names them.

The store in a clone names its files by locations such as `file:mlartifacts/...`, so that the clone can be moved and
copied. MLflow itself would look for them in the working folder. It loads this class by its entry point in every Python
that has seqloom installed. This module must not import the rest of seqloom: MLflow is only half imported by then.
"""

import os
from pathlib import Path

from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

SQLITE = "sqlite:///"
ARTIFACTS = "mlartifacts"
FOLDERS = (ARTIFACTS, "mlruns")  # beside the database; MLflow keeps the experiment "Default" in the second one
_SERVER = "_MLFLOW_SERVER_FILE_STORE"  # in a process of `mlflow server`: the URI of its database


class LocalFiles(LocalArtifactRepository):
    """Artifacts in a folder of this machine."""

    def __init__(self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
        if artifact_uri.removeprefix("file:").partition("/")[0] in FOLDERS:
            artifact_uri = (_home(tracking_uri or _default_store()) / artifact_uri.removeprefix("file:")).as_uri()
        super().__init__(artifact_uri, tracking_uri, registry_uri)


def _home(store_uri: str) -> Path:
    """The folder of a SQLite file; for any other store the working folder."""
    return Path(store_uri.removeprefix(SQLITE)).absolute().parent if store_uri.startswith(SQLITE) else Path.cwd()


def _default_store() -> str:
    from mlflow.tracking import get_tracking_uri

    return os.environ.get(_SERVER) or get_tracking_uri()
