"""Explains that the tables of a database were made by another version of MLflow."""

import re
from pathlib import Path

from seqloom.tracking.client.library import mlflow

_OTHER = re.compile(r"out-of-date database schema \(found version (\w+), but expected (\w+)\)")


def explain_schema(message: str, uri: str) -> str | None:
    """Return what to do if an error of MLflow says that the tables are of another version, else None.

    MLflow calls tables of a newer version out of date, too, and its upgrade would fail with them.

    Args:
        message: MLflow's message.
        uri: the database, without a password.
    """
    if (match := _OTHER.search(message)) is None:
        return None
    found, expected = match[1], match[2]
    migrations = Path(str(mlflow.__file__)).parent / "store" / "db_migrations" / "versions"
    if any(migrations.glob(f"{found}_*.py")):
        return (
            f"its tables are those of an older MLflow (schema {found}; MLflow {mlflow.__version__} needs {expected}): "
            f"stop what uses it, back it up, and run `mlflow db upgrade '{uri}'`, with the password"
        )
    return (
        f"its tables are those of a newer MLflow (schema {found}, which MLflow {mlflow.__version__} does not know): "
        "install the version of MLflow that the others use, or restore a backup"
    )
