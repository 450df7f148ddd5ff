"""The one place that imports MLflow: with telemetry off, without progress bars and without chatter.

What the environment already says wins. It knows nothing of seqloom.
"""

import logging
import os
import warnings
from typing import Any

from seqloom import telemetry
from seqloom.collector import importing

# MLflow reads these when it is imported, or later on every request. Its own patience with a server that does not
# answer is seven tries of two minutes each; a person wants to hear of it sooner.
_DEFAULTS = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "PGCONNECT_TIMEOUT": "30",  # of PostgreSQL's own library, which waits for ever
    "GIT_PYTHON_REFRESH": "quiet",
}
for _name, _value in _DEFAULTS.items():
    os.environ.setdefault(_name, _value)
telemetry.switch_off()

with importing(), warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MLflow and what it imports warn of their own future
    import mlflow
    import mlflow.artifacts
    import mlflow.models
    import mlflow.pyfunc
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact import artifact_repository_registry

    from seqloom.tracking.client.local_files import LocalFiles

# As the entry point in pyproject.toml does; an environment that was installed by an earlier version has none.
_registry: Any = artifact_repository_registry._artifact_repository_registry
_registry.register("file", LocalFiles)

for _name in ("mlflow", "alembic"):
    logging.getLogger(_name).setLevel(logging.ERROR)
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it prints the traceback of what it raises, too

__all__ = ["MlflowClient", "MlflowException", "mlflow"]
