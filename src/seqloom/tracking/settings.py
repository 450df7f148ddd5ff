"""The settings of register_model."""

from typing import Annotated

from pydantic import StringConstraints

from seqloom.settings import Settings


class RegisterSettings(Settings):
    """Where runs and versions go. The server itself is named by MLFLOW_TRACKING_URI: it is no part of a result."""

    experiment: Annotated[str, StringConstraints(min_length=1)]  # the MLflow experiment of the runs
    label: str | None = None  # a tag of the run, freely chosen
