"""Second and third map, over ranges of keys: which pairs share a text with another split, and which are duplicates."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqloom.corpus.preparing import tables
from seqloom.corpus.preparing.clean import SOURCES, TARGETS
from seqloom.corpus.preparing.tables import Range, Rows
from seqloom.corpus.splitting import KEPT, REASONS, Apart, Duplicates, duplicates, shared_texts
from seqloom.sharding.step import Function

SHARED = "shared.npy"  # the pairs that share a text, sorted by the key of their source
DROPPED = "dropped.npy"  # the pairs to drop, sorted by position
_SHARED = np.dtype([("key", "<u8"), ("position", "<u8"), ("reason", "<i1")])
_DROPPED = np.dtype([("key", "<u8"), ("reason", "<i1")])
_CHUNK_BITS = 32  # a position is the number of a chunk and, in these bits, the row in it


def position(chunk: int, row: int) -> int:
    """Return the position of a pair; positions are in the order of the corpus."""
    return (chunk << _CHUNK_BITS) + row


def chunk_of(found: int) -> tuple[int, int]:
    """Return the chunk and row of a position."""
    return found >> _CHUNK_BITS, found & ((1 << _CHUNK_BITS) - 1)


@dataclasses.dataclass(frozen=True)
class FindShared:
    """Finds the texts of a range of keys that are in two splits. The shard is named by the number of the range."""

    chunks: tuple[str, ...]  # folders of the results of `Clean`
    count: int  # of ranges
    apart: Apart

    name = "compare splits"

    def identity(self) -> dict[str, Any]:
        """Return the settings."""
        return {"count": self.count, "apart": self.apart}

    def start(self) -> Function:
        """Return the function for a range."""
        return self._find

    def _find(self, shard: Path, folder: Path) -> int:
        keys = tables.ranges(self.count)[int(shard.name)]
        sources, targets = (_in_order(self.chunks, name, keys) for name in (SOURCES, TARGETS))
        rows = [sources.rows, targets.rows]
        sides = np.repeat(np.arange(2, dtype=np.int8), [len(each) for each in rows])
        every, ranks = (np.concatenate([each[name] for each in rows]) for name in ("key", "rank"))
        reasons = shared_texts(every, sides, ranks, self.apart)
        found = reasons != KEPT
        by_source = np.concatenate([sources.rows["key"], targets.rows["source"]])
        places = np.concatenate([sources.positions, targets.positions])
        shared = {"key": by_source[found], "position": places[found], "reason": reasons[found]}
        tables.save(folder / SHARED, tables.columns(_SHARED, **shared))
        return len(every)


@dataclasses.dataclass(frozen=True)
class FindDropped:
    """Finds the pairs to drop among those whose sources have keys in a range."""

    chunks: tuple[str, ...]  # folders of the results of `Clean`
    shared: tuple[str, ...]  # folders of the results of `FindShared`
    duplicates: Duplicates

    name = "find duplicates"

    def identity(self) -> dict[str, Any]:
        """Return the settings."""
        return {"count": len(self.shared), "duplicates": self.duplicates}

    def start(self) -> Function:
        """Return the function for a range."""
        return self._find

    def _find(self, shard: Path, folder: Path) -> int:
        keys = tables.ranges(len(self.shared))[int(shard.name)]
        rows, places = _in_order(self.chunks, SOURCES, keys)
        reasons = _smallest(places, tables.read_all((Path(each) / SHARED for each in self.shared), keys))
        left = np.flatnonzero(reasons == KEPT)
        again = duplicates(
            (rows["key"][left], rows["target"][left]), rows["direction"][left], rows["rank"][left], places[left],
            self.duplicates,
        )  # fmt: skip
        reasons[left[again]] = REASONS.index("duplicate")
        found = reasons != KEPT
        tables.save(folder / DROPPED, tables.columns(_DROPPED, key=places[found], reason=reasons[found]))
        return len(rows)


def dropped(folders: Sequence[Path], chunk: int, rows: int) -> NDArray[np.int8]:
    """Return, for each row of a chunk, the number of the reason to drop it, or `KEPT`.

    Args:
        folders: results of `FindDropped`.
        chunk: the number of the chunk.
        rows: the number of its rows.
    """
    reasons = np.full(rows, KEPT, np.int8)
    keys = Range(position(chunk, 0), position(chunk + 1, 0) - 1)
    found = tables.read_all((folder / DROPPED for folder in folders), keys)
    reasons[(found["key"] - np.uint64(keys.first)).astype(np.int64)] = found["reason"]
    return reasons


class _Ordered(NamedTuple):
    """Rows of several chunks, and the position of the pair of each."""

    rows: Rows
    positions: NDArray[np.uint64]


def _in_order(chunks: Sequence[str], name: str, keys: Range) -> _Ordered:
    parts = [tables.read(Path(chunk) / name, keys) for chunk in chunks]
    numbers = np.repeat(np.arange(len(parts), dtype=np.uint64), [len(part) for part in parts])
    rows = np.concatenate(parts)
    return _Ordered(rows, (numbers << np.uint64(_CHUNK_BITS)) + rows["row"])


def _smallest(places: NDArray[np.uint64], shared: Rows) -> NDArray[np.int8]:
    """For each position the smallest reason of its texts, or `KEPT`: that of the source precedes that of the target."""
    reasons = np.full(len(places), len(REASONS), np.int8)
    order = np.argsort(places)
    where = order[np.searchsorted(places, shared["position"], sorter=order)]
    np.minimum.at(reasons, where, shared["reason"])
    reasons[reasons == len(REASONS)] = KEPT
    return reasons
