"""The settings of register_model."""

from typing import Annotated

from pydantic import StringConstraints

from seqloom.settings import Settings


class RegisterSettings(Settings):
    """Where runs are logged. The server is set by MLFLOW_TRACKING_URI, since no result depends on it."""

    experiment: Annotated[str, StringConstraints(min_length=1)]  # the MLflow experiment of the runs
    label: str | None = None  # a tag of the run, freely chosen
