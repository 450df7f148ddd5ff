"""Temporary files of texts: Arrow batches, compressed with zstd, whose rows are found by their number."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np

from seqloom.arrow import array_of, pa

ROWS = 8192  # of a batch, at most
BYTES = 1 << 22  # of the texts of a batch, about
_STARTS = ".starts.npy"  # of the file beside, which holds the first row of each batch


class Batch(NamedTuple):
    """Rows of a file; `first` is the number of the first one."""

    first: int
    rows: "pa.RecordBatch"


class BatchWriter:
    """Context manager that writes a file of batches. `columns` maps the columns, in order, to Arrow types."""

    def __init__(self, path: Path, columns: Mapping[str, str]) -> None:
        self._path, self._schema = path, pa.schema(list(columns.items()))
        options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
        self._sink = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_file(self._sink, self._schema, options=options)
        self._starts = [0]

    @property
    def rows(self) -> int:
        """The number of rows written."""
        return self._starts[-1]

    def write(self, values: Sequence[Sequence[Any]]) -> None:
        """Append a batch, given column by column; an empty one is ignored."""
        if not len(values[0]):
            return
        arrays = [array_of(each, field.type) for each, field in zip(values, self._schema, strict=True)]
        self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))
        self._starts.append(self.rows + len(values[0]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._writer.close()
        self._sink.close()
        np.save(self._path.with_name(self._path.name + _STARTS), np.array(self._starts, np.int64))


def read_batches(path: Path, first: int = 0, after: int | None = None) -> Iterator[Batch]:
    """Yield the rows from `first` to before `after`, batch by batch; others are not read."""
    starts = np.load(path.with_name(path.name + _STARTS), allow_pickle=False)
    end = int(starts[-1]) if after is None else after
    with pa.memory_map(str(path)) as source:
        reader = pa.ipc.open_file(source)
        begun = max(0, int(np.searchsorted(starts, first, "right")) - 1)
        for number in range(begun, len(starts) - 1):
            start, stop = max(first, int(starts[number])), min(end, int(starts[number + 1]))
            if start >= stop:
                break
            yield Batch(start, reader.get_batch(number).slice(start - int(starts[number]), stop - start))
