"""First map, over raw chunks: clean the pairs, draw their splits, and write the keys of their texts."""

import dataclasses
from array import array
from pathlib import Path
from typing import Any

import numpy as np

from seqloom.corpus.cleaning import Cleaned, Cleaner, untouched
from seqloom.corpus.examples import Example
from seqloom.corpus.keys import key_of, languages_of
from seqloom.corpus.preparing import tables
from seqloom.corpus.preparing.batches import BatchWriter
from seqloom.corpus.preparing.counts import Counts
from seqloom.corpus.preparing.items import Change
from seqloom.corpus.preparing.raw_chunks import RawRow, raw_rows, split_in
from seqloom.corpus.settings import CleanSettings, SplitSettings
from seqloom.corpus.splits import HELD_OUT, Pair, Split, line_of
from seqloom.corpus.splitting import TRAINING_ONLY_RANK, pivots, rank_of, split_of
from seqloom.files import write_json
from seqloom.languages import Direction
from seqloom.sharding.step import Function
from seqloom.text import Forms, normalise

PAIRS = "pairs.arrow"  # the cleaned pairs
_COLUMNS = dict.fromkeys(Pair._fields, "string")
ROWS = "rows.npy"  # for each of them, its bytes as a line and its rank
SOURCES = "sources.npy"  # their keys, sorted by that of the source
TARGETS = "targets.npy"  # the same, sorted by that of the target
COUNTS = "counts.json"
_ROW = np.dtype([("size", "<u4"), ("rank", "<i1")])
_SOURCE = np.dtype([("key", "<u8"), ("target", "<u8"), ("row", "<u4"), ("direction", "<u2"), ("rank", "<i1")])
_TARGET = np.dtype([("key", "<u8"), ("source", "<u8"), ("row", "<u4"), ("rank", "<i1")])


@dataclasses.dataclass(frozen=True)
class Clean:
    """Cleans a chunk of raw pairs."""

    clean: CleanSettings
    split: SplitSettings
    forms: Forms
    corpora: tuple[str, ...]
    directions: tuple[Direction, ...]
    training_only: tuple[bool, ...]  # which corpora are
    changes: tuple[Change | None, ...]  # of the sources of each corpus, if it is synthetic

    name = "clean pairs"

    def identity(self) -> dict[str, Any]:
        """Return the settings, and the names that numbers in a chunk stand for."""
        return {
            "clean": self.clean.model_dump(),
            "split": self.split.model_dump(),
            "forms": [self.forms.names, self.forms.patterns],
            "corpora": self.corpora,
            "directions": self.directions,
            "training_only": self.training_only,
            "changes": [None if change is None else repr(change) for change in self.changes],
        }

    def start(self) -> Function:
        """Return the function for a chunk."""
        return self._clean

    def counts(self) -> Counts:
        """Return counts of nothing."""
        rules = (rule.name for rule in Cleaner(self.clean, self.forms).rules)
        return Counts(rules, map(str, self.directions))

    def _clean(self, chunk: Path, folder: Path) -> int:
        cleaning = _Cleaning(self)
        with BatchWriter(folder / PAIRS, _COLUMNS) as writer:
            for rows in raw_rows(chunk):
                cleaned = [pair for row in rows if (pair := cleaning.clean(row)) is not None]
                writer.write(list(zip(*cleaned, strict=True)) or [()])
        cleaning.index.save(folder)
        write_json(folder / COUNTS, {"read": cleaning.counts.raw.total(), **cleaning.counts.part()})
        return cleaning.counts.raw.total()


class _Cleaning:
    """What is found out about a chunk."""

    def __init__(self, step: Clean) -> None:
        self._step = step
        self._cleaner, self._pivots = Cleaner(step.clean, step.forms), pivots(step.directions)
        self._languages = list(map(languages_of, step.directions))
        self._names = list(map(str, step.directions))
        self.counts = step.counts()
        self.index = _Index()

    def clean(self, row: RawRow) -> Pair | None:
        """Return the cleaned pair, or None if it is dropped; either is counted."""
        corpus, split = self._step.corpora[row.corpus], split_in(row)
        source, target, group = map(_text, (row.source, row.target, row.group))
        if row.reason:
            self.counts.leave_out(corpus, row.reason, Example(group, source, ""))
            return None
        self.counts.raw[corpus] += 1
        cleaned = self._cleaned(source, target, split)
        if cleaned.dropped is not None:
            self.counts.drop(corpus, cleaned.dropped, Example(group, source, target))
            return None
        pair = Pair(cleaned.source, cleaned.target, self._names[row.direction], corpus, normalise(group))
        change = self._step.changes[row.corpus]
        written = pair if change is None else pair._replace(source=change(pair.source, self._step.forms))
        self._note(pair, row.direction, self._rank(pair, row, split), len(line_of(written).encode()))
        return written

    def _cleaned(self, source: str, target: str, split: Split | None) -> Cleaned:
        # A corpus's own valid and test splits are benchmarks: normalise them, never filter them.
        return (untouched if split in HELD_OUT else self._cleaner.clean)(source, target)

    def _rank(self, pair: Pair, row: RawRow, given: Split | None) -> int:
        if self._step.training_only[row.corpus]:
            return TRAINING_ONLY_RANK
        pivot = pair[self._pivots[self._step.directions[row.direction]]]
        split = given if given is not None else split_of(pivot, pair.group, self._step.split)
        return rank_of(split, given=given is not None)

    def _note(self, pair: Pair, direction: int, rank: int, size: int) -> None:
        source, target = self._languages[direction]
        self.index.add(key_of(pair.source, source), key_of(pair.target, target), direction, rank, size)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")


class _Index:
    """The keys, directions, ranks and sizes of the cleaned pairs of a chunk: 23 bytes each."""

    def __init__(self) -> None:
        self._sources, self._targets = array("Q"), array("Q")
        self._directions, self._ranks, self._sizes = array("H"), array("b"), array("I")

    def add(self, source: int, target: int, direction: int, rank: int, size: int) -> None:
        """Append a pair."""
        self._sources.append(source)
        self._targets.append(target)
        self._directions.append(direction)
        self._ranks.append(rank)
        self._sizes.append(size)

    def save(self, folder: Path) -> None:
        """Write the tables."""
        rows = np.arange(len(self._ranks), dtype=np.uint32)
        sources, targets = np.frombuffer(self._sources, np.uint64), np.frombuffer(self._targets, np.uint64)
        ranks = np.frombuffer(self._ranks, np.int8)
        np.save(folder / ROWS, tables.columns(_ROW, size=np.frombuffer(self._sizes, np.uint32), rank=ranks))
        directions = np.frombuffer(self._directions, np.uint16)
        by_source = {"key": sources, "target": targets, "row": rows, "direction": directions, "rank": ranks}
        tables.save(folder / SOURCES, tables.columns(_SOURCE, **by_source))
        by_target = {"key": targets, "source": sources, "row": rows, "rank": ranks}
        tables.save(folder / TARGETS, tables.columns(_TARGET, **by_target))
