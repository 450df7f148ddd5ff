"""How MLflow finds artifacts whose location is relative: beside the SQLite file that names them.

The store in a clone names its files by locations such as `file:mlartifacts/...`, so that the clone can be moved and
copied. MLflow itself would look for them in the working folder. It loads this class by its entry point in every Python
that has seqloom installed. This module must not import the rest of seqloom: MLflow is only half imported by then.
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
FOLDERS = (ARTIFACTS, "mlruns")  # beside the database; MLflow keeps the experiment "Default" in the second one
_SERVER = "_MLFLOW_SERVER_FILE_STORE"  # in a process of `mlflow server`: the URI of its database
_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)
_ABSOLUTE = re.compile(rf"(?P<scheme>file://)?(?P<home>/.*)/(?P<rest>(?:{'|'.join(FOLDERS)})(?:/.*)?)")
_PATIENCE = 30  # seconds to wait for another process that writes


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


class _Location(NamedTuple):
    """An absolute location: the row that holds it, the folder that it is in, and what is below that."""

    table: str
    column: str
    row: int
    home: Path
    rest: str


def make_relative(database: Path) -> None:
    """Rewrite each absolute location of a file that lies beside `database`, in one transaction.

    A location counts as such if it names the folder of `database`, or another folder whose files lie here now: then the
    clone was moved or copied. Other locations stay as they are.
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
    """Whether the files of a location are in `folder`. Only a run and a model have a folder of their own."""
    return location.home == folder or (location.rest.endswith("/artifacts") and (folder / location.rest).is_dir())
