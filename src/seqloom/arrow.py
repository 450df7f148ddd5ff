"""pyarrow, imported when it is first used.

Only Parquet files and the preparation of corpora need it. It is part of the extra `pipeline`; the rest works without.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

__all__ = ["pa", "pc", "pq"]
