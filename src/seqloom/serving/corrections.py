"""Better translations that users suggest, kept as a corpus: one table per direction, to which rows are appended.

A row is the text, the better translation, the version that it corrects, the time and the client (a hash). A suggestion
is accepted only when its row is on the disk. `kind: file` with `format: tsv` and `quoting: true` reads the table.
"""

import csv
import fcntl
import io
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from seqloom.errors import AccessError, RequestError
from seqloom.files import sync_folder
from seqloom.languages import Direction

COLUMNS = ("source", "target", "version", "at", "client")


class Correction(NamedTuple):
    """A better translation of a text."""

    source: str
    target: str
    direction: Direction
    version: str  # the version that serves this direction
    client: str


class Corrections:
    """Appends corrections to tables in a folder; `most_bytes` is the largest size of a table."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder, self._most = folder, most_bytes

    def append(self, correction: Correction) -> None:
        """Append a row and wait until it is on the disk.

        Raises:
            AccessError: the table has its largest size.
            OSError: the table cannot be written; it is as before.
            RequestError: the text or its translation is empty.
        """
        if not correction.source.strip() or not correction.target.strip():
            raise RequestError("q and s must not be empty")
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / f"{correction.direction}.tsv"
        now = datetime.now(UTC).isoformat(timespec="seconds")
        row = _row([correction.source, correction.target, correction.version, now, correction.client])
        table = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            fcntl.flock(table, fcntl.LOCK_EX)  # until it is closed; another server may use the folder
            self._write(table, row, file)
        finally:
            os.close(table)

    def _write(self, table: int, row: bytes, file: Path) -> None:
        size = os.fstat(table).st_size
        content = row if size else _row(COLUMNS) + row
        if size + len(content) > self._most:
            raise AccessError(f"no more suggestions are taken: {file.name} has its largest size, {self._most:,} bytes")
        try:
            written = os.write(table, content)
            if written < len(content):
                raise OSError(f"{file}: only {written} of {len(content)} bytes were written")
            os.fsync(table)
        except OSError:
            os.ftruncate(table, size)
            raise
        if not size:
            sync_folder(self._folder)  # the entry of the new file


def _row(cells: tuple[str, ...] | list[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, delimiter="\t", lineterminator="\n").writerow(cells)
    return line.getvalue().encode()
