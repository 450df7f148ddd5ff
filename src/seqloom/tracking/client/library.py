"""Imports MLflow with telemetry, progress bars and warnings switched off. Other modules import it from here.

Environment variables that are set already keep their values.
"""

import logging
import os
import warnings
from typing import Any

from seqloom import telemetry
from seqloom.collector import importing

# MLflow reads these on import or before each request. By default it tries seven times, for two minutes each, to reach
# a server that does not answer.
_DEFAULTS = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "PGCONNECT_TIMEOUT": "30",  # libpq has no time limit by default
    "GIT_PYTHON_REFRESH": "quiet",
}
for _name, _value in _DEFAULTS.items():
    os.environ.setdefault(_name, _value)
telemetry.switch_off()

with importing(), warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MLflow and its dependencies raise deprecation warnings on import
    import mlflow
    import mlflow.artifacts
    import mlflow.models
    import mlflow.pyfunc
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact import artifact_repository_registry

    from seqloom.tracking.client.local_files import LocalFiles

# The same as the entry point in pyproject.toml, for environments that were installed before it existed.
_registry: Any = artifact_repository_registry._artifact_repository_registry
_registry.register("file", LocalFiles)

for _name in ("mlflow", "alembic"):
    logging.getLogger(_name).setLevel(logging.ERROR)
# This logger also logs the traceback of errors that MLflow raises.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)

__all__ = ["MlflowClient", "MlflowException", "artifact_repository_registry", "mlflow"]
