"""pyarrow, imported when it is first used.

Only Parquet files and the preparation of corpora need it. It is part of the extra `pipeline`; the rest works without.
"""

from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqloom.errors import SeqloomError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
else:

    class _Module:
        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, name: str) -> Any:
            try:
                return getattr(import_module(self._name), name)
            except ModuleNotFoundError as error:
                if error.name != "pyarrow":
                    raise
                raise SeqloomError(
                    "Parquet files and the preparation of a corpus need pyarrow: pip install 'seqloom[pipeline]'"
                ) from error

    pa, pc, pq = map(_Module, ("pyarrow", "pyarrow.compute", "pyarrow.parquet"))

__all__ = ["array_of", "numbers_of", "pa", "pc", "pq", "read_parquet"]


def array_of(values: Sequence[Any] | NDArray[Any], kind: "pa.DataType") -> "pa.Array":
    """Return values as an Arrow array of strings, binaries, booleans or integers, as `kind` says.

    No value may be null, and texts must have less than 2 GiB in all. `pa.array` has no such limits, but imports pandas
    if that is installed, which takes 0.2 s and 40 MB in every worker.
    """
    buffers: list[Any]
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        texts = [each.encode() for each in values] if pa.types.is_string(kind) else values
        buffers = [np.cumsum([0, *map(len, texts)], dtype=np.int32), b"".join(texts)]
    elif pa.types.is_boolean(kind):
        buffers = [np.packbits(np.asarray(values, np.bool_), bitorder="little")]
    else:
        buffers = [np.array(values, str(kind))]
    return pa.Array.from_buffers(kind, len(values), [None, *map(pa.py_buffer, buffers)])


def numbers_of(array: "pa.Array") -> NDArray[Any]:
    """Return an Arrow array of integers, none of which is null, as a NumPy array on the same memory.

    Like `array_of`, it does not import pandas, which `to_numpy` does.
    """
    kind = np.dtype(str(array.type))
    return np.frombuffer(array.buffers()[1], kind, len(array), array.offset * kind.itemsize)


def read_parquet(path: Path, columns: Sequence[str], rows: int) -> Iterator["pa.RecordBatch"]:
    """Yield columns of a Parquet file in batches of at most `rows` rows, with a group of rows in memory at a time.

    By default pyarrow reads the whole file ahead.
    """
    with pq.ParquetFile(path, pre_buffer=False) as file:
        yield from file.iter_batches(rows, columns=list(columns), use_threads=False)
