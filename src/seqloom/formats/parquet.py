"""The format `parquet`: tables of columns, as data sets on Hugging Face are stored. Read only; nothing is written back.

The pairs are two columns of text, named in the settings, or the fields of two languages in the column `translation`,
such as {"en": "Yes", "de": "Ja"}. A dot in a name leads into such a column of records. Rows are read in batches, so the
memory does not grow with the file.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from seqloom.errors import FormatError
from seqloom.formats.encoding import BINARY, LONGEST_LINE, TextFile
from seqloom.formats.pieces import Options, Piece, Skip, Unit

if TYPE_CHECKING:
    import pyarrow
    from pyarrow import parquet

_MAGIC = b"PAR1"
_BATCH = 256  # rows; many of the longest texts fit into the memory
_LARGEST_BATCH = 1 << 29  # bytes
_BUFFER = 1 << 20  # bytes; without a buffer, whole columns of a row group are read
_SHOWN = 10  # columns named in a message
_RECORDS = "translation"  # the column that data sets for translation have by convention


def declared(head: bytes) -> str | None:
    """Return `BINARY` for a Parquet file."""
    return BINARY if head.startswith(_MAGIC) else None


def read_parquet(file: TextFile, options: Options) -> Iterator[Piece]:
    """Yield a unit for every row; its key and line are the number of the row, counted from 1.

    A file whose column `translation` lacks one of the languages is one `Skip`.

    Raises:
        FormatError: the file is not Parquet or broken, a column does not exist, or it does not contain text.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        # Statistics and page indexes are not needed; the buffer bounds the memory for compressed pages.
        table = parquet.ParquetFile(file.seekable(), buffer_size=_BUFFER, pre_buffer=False)
        names = [
            given or f"{_RECORDS}.{language}"
            for given, language in zip((options.source_name, options.target_name), options.direction, strict=True)
        ]
        schema = table.schema_arrow
        if other := _other_languages(schema, names, options):
            yield Skip("", "other languages", 1, other)
            return
        for name in names:
            _check(file.where, schema, name)
        yield from _units(table, names, file.where)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise FormatError(f"{file.where}: the Parquet file is truncated or corrupt: {_first_line(error)}") from error


def _units(table: "parquet.ParquetFile", names: list[str], where: str) -> Iterator[Unit]:
    number = 0
    for batch in table.iter_batches(_BATCH, columns=list(dict.fromkeys(names))):
        if batch.nbytes > _LARGEST_BATCH:  # before each text becomes an object
            raise FormatError(f"{where}: rows from {number + 1} on are larger than {_LARGEST_BATCH:,} bytes together")
        sources, targets = (_texts(batch, name) for name in names)
        for source, target in zip(sources, targets, strict=True):
            number += 1
            if max(len(source or ""), len(target or "")) > LONGEST_LINE:
                raise FormatError(f"{where}: row {number}: is longer than {LONGEST_LINE:,} characters")
            yield Unit("", str(number), source or "", target, number, _unwritten)


def _texts(batch: "pyarrow.RecordBatch", name: str) -> list[Any]:
    from pyarrow import compute

    first, *rest = _parts(batch.schema, name)
    column: Any = batch.column(first)
    if rest:
        column = compute.struct_field(column, rest)
    return column.to_pylist()  # type: ignore[no-any-return]


def _parts(schema: "pyarrow.Schema", name: str) -> list[str]:
    """Return the path of a column; a column whose name itself contains dots takes precedence."""
    return [name] if name in schema.names else name.split(".")


def _field(schema: "pyarrow.Schema", name: str) -> Any:
    """Return the type of a column, or None if it does not exist."""
    from pyarrow import types

    kind: Any = None
    for depth, part in enumerate(_parts(schema, name)):
        if depth == 0:
            kind = schema.field(part).type if schema.names.count(part) == 1 else None
        else:
            kind = kind.field(part).type if types.is_struct(kind) and kind.get_field_index(part) >= 0 else None
        if kind is None:
            return None
    return kind


def _other_languages(schema: "pyarrow.Schema", names: list[str], options: Options) -> str:
    """Return the languages of the column `translation` if it lacks one that is wanted; else an empty string."""
    from pyarrow import types

    if options.source_name or options.target_name or schema.names.count(_RECORDS) != 1:
        return ""
    kind = schema.field(_RECORDS).type
    if not types.is_struct(kind) or all(_field(schema, name) is not None for name in names):
        return ""
    return ", ".join(kind.field(index).name for index in range(kind.num_fields))


def _check(where: str, schema: "pyarrow.Schema", name: str) -> None:
    from pyarrow import types

    kind = _field(schema, name)
    if kind is None:
        listed = ", ".join(schema.names[:_SHOWN])
        raise FormatError(
            f"{where}: there is no column {name!r}; there are {listed}: name the right one in params.yaml"
        )
    text = kind.value_type if types.is_dictionary(kind) else kind
    if not (types.is_string(text) or types.is_large_string(text) or types.is_string_view(text)):
        raise FormatError(f"{where}: the column {name!r} contains {kind}, not text: name another one in params.yaml")


def _unwritten(translation: str) -> str:
    raise FormatError("translations cannot be written into a Parquet file")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
