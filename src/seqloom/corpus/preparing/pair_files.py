"""Writes cleaned pairs from Arrow batches: lines of a split file, and Parquet shards.

The bytes of a shard depend only on its pairs and on the version of pyarrow, not on the batches in which they came.
"""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self

from seqloom.arrow import array_of, pa, pc, pq
from seqloom.corpus.splits import Pair, read_shard

_GROUP = 1 << 16  # pairs of a row group
_REPETITIVE = ["direction", "corpus", "group"]


class PairFile(Protocol):
    """A file of pairs that is being written."""

    def write(self, pairs: "pa.RecordBatch") -> None:
        """Append pairs with the columns of `Pair`."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...


class Lines:
    """Context manager that writes pairs as lines of a split file, without its header."""

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("xb")

    def write(self, pairs: "pa.RecordBatch") -> None:
        """Append pairs; their texts must be normalised."""
        if not pairs.num_rows:
            return
        *fields, last = pairs.columns
        tab, end, nothing = array_of(["\t", "\n", ""], pa.string())
        lines = pc.binary_join_element_wise(*fields, pc.binary_join_element_wise(last, end, nothing), tab)
        _, _, text = lines.buffers()  # the lines one after the other
        self._file.write(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()


class Shard:
    """Context manager that writes pairs as a Parquet shard, compressed with zstd."""

    def __init__(self, path: Path) -> None:
        self._schema = pa.schema([(name, pa.string()) for name in Pair._fields])
        self._writer = pq.ParquetWriter(
            str(path), self._schema, compression="zstd", use_dictionary=_REPETITIVE, write_statistics=False
        )
        self._waiting: list[pa.RecordBatch] = []
        self._rows = 0

    def write(self, pairs: "pa.RecordBatch") -> None:
        """Append pairs."""
        self._waiting.append(pairs)
        self._rows += pairs.num_rows
        while self._rows >= _GROUP:
            self._flush(_GROUP)

    def _flush(self, rows: int) -> None:
        table = pa.Table.from_batches(self._waiting, self._schema)
        self._writer.write_table(table.slice(0, rows).combine_chunks(), row_group_size=_GROUP)
        self._waiting, self._rows = table.slice(rows).to_batches(), self._rows - rows

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is None and self._rows:
            self._flush(self._rows)
        self._writer.close()


def read_pairs(path: Path) -> Iterator[Pair]:
    """Yield the pairs of a file that `Lines` or `Shard` wrote."""
    if path.suffix == ".parquet":
        yield from read_shard(path)
        return
    with path.open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            yield Pair(*line.removesuffix("\n").split("\t"))
