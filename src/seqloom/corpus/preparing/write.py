"""Fourth map, over ranges of the corpus: write the pairs that are kept, and count them and the others."""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqloom.arrow import array_of, pa, pc
from seqloom.corpus.examples import Example
from seqloom.corpus.preparing import tables
from seqloom.corpus.preparing.batches import read_batches
from seqloom.corpus.preparing.clean import COUNTS, PAIRS, ROWS
from seqloom.corpus.preparing.counts import Counts
from seqloom.corpus.preparing.decide import chunk_of, dropped, position
from seqloom.corpus.preparing.pair_files import Lines, PairFile, Shard
from seqloom.corpus.splits import Pair, Split
from seqloom.corpus.splitting import KEPT, REASONS, SPLIT_OF_RANK
from seqloom.corpus.statistics import Tally
from seqloom.files import sha256_of, write_json
from seqloom.languages import Direction
from seqloom.sharding.step import Function

GROUPS = np.dtype([("key", "<u8"), ("split", "<i1")])
GROUP_TABLE = "groups.npy"
TRAIN_LINES, TRAIN_SHARD = "train.lines", "train.parquet"
"""Names of the part of training in a result, as lines and as a shard. Parts of the others are `valid.lines`, ..."""


class Plan(NamedTuple):
    """The positions at which ranges begin and the last one ends, and the bytes of the training split as lines."""

    bounds: tuple[int, ...]
    bytes: int


def plan(chunks: Sequence[Path], decisions: Sequence[Path], size: int) -> Plan:
    """Cut the corpus into ranges with `size` bytes of kept training text each, except that pairs are not cut.

    Args:
        chunks: results of `Clean`.
        decisions: results of `FindDropped`.
        size: bytes of text as lines.
    """
    bounds, total = [0], 0
    for number, chunk in enumerate(chunks):
        rows = np.load(chunk / ROWS, allow_pickle=False)
        kept = (SPLIT_OF_RANK[rows["rank"]] == Split.train) & (dropped(decisions, number, len(rows)) == KEPT)
        before = total + np.cumsum(np.where(kept, rows["size"], 0), dtype=np.int64)
        first = np.flatnonzero(np.diff(before // size, prepend=total // size)) + 1  # each begins after the pair
        bounds += [position(number, row) if row < len(rows) else position(number + 1, 0) for row in first.tolist()]
        total = int(before[-1]) if len(before) else total
    end = position(len(chunks), 0)
    return Plan((*(each for each in bounds if each < end), end), total)


@dataclasses.dataclass(frozen=True)
class Write:
    """Writes the kept pairs of a range. The shard is named by the number of the range."""

    chunks: tuple[str, ...]  # folders of the results of `Clean`
    decisions: tuple[str, ...]  # folders of the results of `FindDropped`
    bounds: tuple[int, ...]
    directions: tuple[Direction, ...]
    sharded: bool

    name = "write pairs"

    def identity(self) -> dict[str, Any]:
        """Return the ranges, and what a range is written to."""
        return {"bounds": self.bounds, "directions": self.directions, "sharded": self.sharded}

    def start(self) -> Function:
        """Return the function for a range."""
        return self._write

    def train_name(self) -> str:
        """Return the name of the file with training pairs in a result."""
        return TRAIN_SHARD if self.sharded else TRAIN_LINES

    def _write(self, shard: Path, folder: Path) -> int:
        number = int(shard.name)
        counts, tally = Counts((), map(str, self.directions)), Tally(self.directions)
        groups: dict[Split, set[str]] = {split: set() for split in Split}
        rows = 0
        with ExitStack() as stack:
            files: dict[Split, PairFile] = {split: stack.enter_context(self._open(folder, split)) for split in Split}
            for pairs, ranks, reasons in self._rows(self.bounds[number], self.bounds[number + 1]):
                rows += len(ranks)
                splits = SPLIT_OF_RANK[ranks]
                for split in Split:
                    kept = pairs.filter(array_of((splits == split) & (reasons == KEPT), pa.bool_()))
                    files[split].write(kept)
                    _count(counts, split, kept)
                    groups[split].update(pc.unique(kept.column("group")).to_pylist())
                    if split is Split.train:
                        tally.count(kept)
                _count_dropped(counts, pairs, reasons)
        train = folder / self.train_name()
        kept_rows = sum(each[Split.train] for each in counts.directions.values())
        shard_entry = [kept_rows, train.stat().st_size, sha256_of(train)]
        write_json(folder / COUNTS, {**counts.part(), "tally": tally.part(), "train": shard_entry})
        _save_groups(folder, groups)
        return rows

    def _open(self, folder: Path, split: Split) -> PairFile:
        if split is Split.train and self.sharded:
            return Shard(folder / TRAIN_SHARD)
        return Lines(folder / f"{split.name}.lines")

    def _rows(self, first: int, after: int) -> "Iterator[tuple[pa.RecordBatch, NDArray[np.int8], NDArray[np.int8]]]":
        """Yield the pairs of a range of positions, with their ranks and the numbers of the reasons to drop them."""
        (begun, row), (ended, end) = chunk_of(first), chunk_of(after)
        decisions = [Path(each) for each in self.decisions]
        for number in range(begun, min(ended + 1, len(self.chunks))):
            chunk = Path(self.chunks[number])
            ranks = np.load(chunk / ROWS, allow_pickle=False)["rank"]
            reasons = dropped(decisions, number, len(ranks))
            start, stop = (row if number == begun else 0), (end if number == ended else len(ranks))
            for batch in read_batches(chunk / PAIRS, start, stop):
                here = slice(batch.first, batch.first + batch.rows.num_rows)
                yield batch.rows, ranks[here], reasons[here]


def _count(counts: Counts, split: Split, kept: "pa.RecordBatch") -> None:
    for found in pc.value_counts(kept.column("direction")).to_pylist():
        counts.directions[found["values"]][split] += found["counts"]


def _count_dropped(counts: Counts, pairs: "pa.RecordBatch", reasons: NDArray[np.int8]) -> None:
    found = reasons != KEPT
    dropped_pairs = map(Pair, *(column.to_pylist() for column in pairs.filter(array_of(found, pa.bool_())).columns))
    for pair, reason in zip(dropped_pairs, reasons[found].tolist(), strict=True):
        counts.drop(pair.corpus, REASONS[reason], Example(pair.group, pair.source, pair.target))


def _save_groups(folder: Path, groups: dict[Split, set[str]]) -> None:
    keys = [(_key(group), split) for split, found in groups.items() for group in found if group]
    tables.save(folder / GROUP_TABLE, np.array(keys, GROUPS))


def _key(group: str) -> int:
    return int.from_bytes(blake2b(group.encode(), digest_size=8).digest(), "little")
