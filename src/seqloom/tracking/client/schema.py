"""Finds out that the tables of a database were made by another version of MLflow, and says what to do.

MLflow upgrades older tables without a word when it connects, if a table is missing, and so locks out all members of a
team who have the older version. So a database server is asked before MLflow is.
"""

import re
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect, text

from seqloom.tracking.client.library import mlflow

_OTHER = re.compile(r"out-of-date database schema \(found version (\w+), but expected (\w+)\)")
_TABLE = "alembic_version"


def other_schema(database: Connection, uri: str) -> str | None:
    """Return what to do if the tables of a database are of another version; None if they are not, or there are none.

    Args:
        database: an open connection.
        uri: the database, without a password.
    """
    from mlflow.store.db import utils  # only after library, which imports MLflow

    migrations: Any = utils
    if not inspect(database).has_table(_TABLE):
        return None
    found = database.execute(text(f"SELECT version_num FROM {_TABLE}")).scalar()
    expected = str(migrations._get_latest_schema_revision())
    return None if found is None or str(found) == expected else _explain(str(found), expected, uri)


def explain_schema(message: str, uri: str) -> str | None:
    """Return what to do if an error of MLflow says that the tables are of another version, else None."""
    match = _OTHER.search(message)
    return None if match is None else _explain(match[1], match[2], uri)


def _explain(found: str, expected: str, uri: str) -> str:
    """MLflow calls tables of a newer version out of date, too, and its upgrade fails with them."""
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
