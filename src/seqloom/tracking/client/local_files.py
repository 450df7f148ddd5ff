"""Relative artifact locations, so that a clone with its own SQLite store can be moved and copied.

The store of a clone holds locations such as `file:mlartifacts/...`, relative to its database; MLflow itself would
resolve them in the working directory. MLflow writes absolute locations when it creates an experiment, and runs, models
and versions inherit them; stores of earlier versions of seqloom hold absolute locations throughout.

MLflow loads `LocalFiles` through its entry point while it is itself only partly imported, so this module must not
import the rest of seqloom.
"""

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

SQLITE = "sqlite:///"
ARTIFACTS = "mlartifacts"
FOLDERS = (ARTIFACTS, "mlruns")  # beside the database; MLflow creates the experiment "Default" in mlruns
_SERVER = "_MLFLOW_SERVER_FILE_STORE"  # set in processes of `mlflow server` to the URI of its database
_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)
_ABSOLUTE = re.compile(rf"(?P<scheme>file://)?(?P<home>/.*)/(?P<rest>(?:{'|'.join(FOLDERS)})(?:/.*)?)")
_PATIENCE = 30  # seconds to wait for another process's write lock


class LocalFiles(LocalArtifactRepository):
    """Artifacts on the local disk; a relative location is resolved beside the database that holds it."""

    def __init__(self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
        if artifact_uri.removeprefix("file:").partition("/")[0] in FOLDERS:
            artifact_uri = (_home(tracking_uri or _default_store()) / artifact_uri.removeprefix("file:")).as_uri()
        super().__init__(artifact_uri, tracking_uri, registry_uri)


def _home(store_uri: str) -> Path:
    """Return the folder of a SQLite database, or the working directory for any other store."""
    return Path(store_uri.removeprefix(SQLITE)).absolute().parent if store_uri.startswith(SQLITE) else Path.cwd()


def _default_store() -> str:
    from mlflow.tracking import get_tracking_uri

    return os.environ.get(_SERVER) or get_tracking_uri()


class _Location(NamedTuple):
    """An absolute location: the row that holds it, the folder of its store, and the path below that folder."""

    table: str
    column: str
    row: int
    home: Path
    rest: str


def make_relative(database: Path) -> None:
    """Make the absolute locations in a SQLite store relative, in one transaction.

    A location is rewritten if it is in the folder of `database`, or in another folder whose files are here now because
    the clone was moved or copied. Other locations stay as they are.
    """
    with closing(sqlite3.connect(database, timeout=_PATIENCE, isolation_level=None)) as store:
        if next(_absolute(store), None) is None:
            return
        store.execute("BEGIN IMMEDIATE")
        found = list(_absolute(store))
        ours = {each.home for each in found if _is_here(database.parent, each)}
        for each in found:
            if each.home in ours:
                change = f"UPDATE {each.table} SET {each.column} = ? WHERE rowid = ?"
                store.execute(change, (f"file:{each.rest}", each.row))
        store.execute("COMMIT")


def _absolute(store: sqlite3.Connection) -> Iterator[_Location]:
    for table, column in _COLUMNS:
        query = f"SELECT rowid, {column} FROM {table} WHERE {column} LIKE '/%' OR {column} LIKE 'file:///%'"
        for row, location in store.execute(query):
            if match := _ABSOLUTE.fullmatch(location):
                home = unquote(match["home"]) if match["scheme"] else match["home"]
                yield _Location(table, column, row, Path(home), match["rest"])


def _is_here(folder: Path, location: _Location) -> bool:
    """Return whether the files of a location are in `folder`. Only runs and models have their own folders."""
    return location.home == folder or (location.rest.endswith("/artifacts") and (folder / location.rest).is_dir())
