"""The format `tsv`: a pair a line, TAB between the columns, no header, no quoting; plain or gzip."""

from collections.abc import Iterator

from seqloom.corpus.formats.raw import RawPair
from seqloom.corpus.lines import read_lines
from seqloom.corpus.members import Members
from seqloom.errors import FormatError


def read_tsv(members: Members, pattern: str | None, source_column: int, target_column: int) -> Iterator[RawPair]:
    """Yield the pairs of every file that matches the pattern, or of the only file where it is None.

    Columns are counted from 0 and lines may have more of them than are read.

    Raises:
        FormatError: a line has too few columns or an empty side; no file matches.
    """
    names = [members.only()] if pattern is None else [side.name for side in members.sides(pattern, "").values()]
    if not names:
        raise FormatError(f"{members.place}: no file matches {pattern!r}")
    needed = max(source_column, target_column) + 1
    for name in names:
        for number, line in read_lines(members, name):
            columns = line.split("\t")
            where = f"{members.place}: {name}: line {number}"
            if len(columns) < needed:
                raise FormatError(f"{where}: has {len(columns)} TAB-separated column(s), needs at least {needed}")
            source, target = columns[source_column], columns[target_column]
            if not source.strip() or not target.strip():
                side, column = ("target", target_column) if source.strip() else ("source", source_column)
                raise FormatError(f"{where}: the {side} (column {column}, counted from 0) is empty; fill or delete it")
            yield RawPair(source, target, "")
