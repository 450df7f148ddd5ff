"""Makes the artifact locations in a clone's own SQLite store relative, so that the clone can be moved and copied.

MLflow writes absolute locations when it creates an experiment; runs, models and versions derive theirs from it.
Stores of earlier versions hold absolute locations throughout, of the folder in which the clone was at that time.
"""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from seqloom.tracking.client.local_files import FOLDERS

_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)
_ABSOLUTE = re.compile(rf"(?P<scheme>file://)?(?P<home>/.*)/(?P<rest>(?:{'|'.join(FOLDERS)})(?:/.*)?)")
_PATIENCE = 30  # seconds to wait for another process that writes


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
