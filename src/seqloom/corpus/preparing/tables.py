"""Tables of fixed-size rows on disk, sorted by a 64-bit key, of which ranges of keys are read.

They carry decisions between workers: whoever needs the rows of some keys reads that range from every table, so memory
is bounded by the range, and neither the number of ranges nor their bounds have to be known when a table is written.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

Rows = NDArray[np.void]
"""(rows,) records; the field `key` is an unsigned 64-bit integer."""

_KEYS = 1 << 64


class Range(NamedTuple):
    """Keys from `first` to `last`, both included."""

    first: int
    last: int


def ranges(count: int) -> list[Range]:
    """Return all keys in this many ranges of equal width."""
    bounds = [number * _KEYS // count for number in range(count + 1)]
    return [Range(first, after - 1) for first, after in pairwise(bounds)]


def columns(dtype: DTypeLike, **values: Any) -> Rows:
    """Return arrays of equal length as rows."""
    rows = np.empty(len(next(iter(values.values()))), dtype)
    for name, value in values.items():
        rows[name] = value
    return rows


def save(path: Path, rows: Rows) -> None:
    """Write rows, sorted by key; rows of equal keys keep their order."""
    np.save(path, rows[np.argsort(rows["key"], kind="stable")], allow_pickle=False)


def read(path: Path, keys: Range) -> Rows:
    """Return the rows of a table whose keys are in a range."""
    table: Rows = np.load(path, mmap_mode="r", allow_pickle=False)
    found = table["key"]
    return np.array(table[bisect_left(found, keys.first) : bisect_right(found, keys.last)])


def read_all(paths: Iterable[Path], keys: Range) -> Rows:
    """Return the rows of some tables whose keys are in a range, table by table. There must be a table."""
    return np.concatenate([read(path, keys) for path in paths])
