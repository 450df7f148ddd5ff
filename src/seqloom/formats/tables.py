"""The formats `tsv` and `csv`: tables with one pair per row.

TSV is unquoted: TAB separates columns, and quotes are ordinary characters. With `quoting`, always set for CSV, cells
may be quoted (RFC 4180): quoted cells may contain delimiters and line breaks, and a quote is doubled. If a file without
`quoting` looks quoted, or its first row looks like a header, a notice says so.

With `Options.engine`, a row may end before its target, and a row without a source is skipped.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial
from io import StringIO
from typing import NamedTuple

from seqloom.errors import FormatError
from seqloom.formats.encoding import LONGEST_LINE, TextFile
from seqloom.formats.pieces import Notice, Options, Piece, Skip, Unit

_HEADERS = {"source", "target", "src", "tgt", "trg", "id", "key", "text", "translation", "original", "segment"}
_LONGEST_HEADER = 40  # characters of a column's name
_LANGUAGE = re.compile(r"[a-z]{2,3}([-_][A-Za-z0-9]{2,8})*", re.IGNORECASE)


def read_table(file: TextFile, options: Options) -> Iterator[Piece]:
    """Yield a unit for every row; its key is the number of the row's first line.

    Blank rows are skipped. Rows may have additional columns; if their number varies, a final notice says how many rows
    differ from the first.

    Raises:
        FormatError: a row has too few columns or no source, or a quoted cell is never closed.
    """
    needed = max(options.source_column, options.target_column) + 1
    width, odd, quoted = 0, list[int](), 0
    rows = (_quoted_rows if options.quoting else _plain_rows)(file, options.delimiter, needed)
    for row in rows:
        where = f"{file.where}: line {row.line}"
        texts = [cell.text for cell in row.cells]
        if row.blank:
            yield Skip(row.raw, "blank line", row.line)
            continue
        if row.line == 1 and options.header:
            yield Skip(row.raw, "header", 1, " | ".join(texts))
            continue
        if row.width < needed and not (options.engine and options.source_column < row.width):
            between = _NAMES.get(options.delimiter, options.delimiter)
            hint = "; if quoted cells may span lines, set `quoting: true`" if row.raw.count('"') % 2 else ""
            raise FormatError(
                f"{where}: found {row.width} column(s) separated by {between}, need at least {needed}{hint}"
            )
        source = texts[options.source_column]
        if options.engine and not source.strip():
            yield Skip(row.raw, "no source", row.line, " | ".join(texts))
            continue
        short = options.delimiter * (needed - row.width) if row.width <= options.target_column else ""
        target = "" if short else texts[options.target_column]
        if row.line == 1 and _looks_like_header(source, target):
            yield Notice(1, f"the first row, {' | '.join(texts)[:60]!r}, looks like a header: set `header: true`")
        width = width or row.width
        if row.width != width and not (short and options.engine):
            odd.append(row.line)
        if not options.quoting and quoted < 2 and _is_quoted(source) and _is_quoted(target):
            quoted += 2 if '""' in source[1:-1] + target[1:-1] else 1
            if quoted >= 2:
                yield Notice(row.line, "cells are quoted as by a spreadsheet: set `quoting: true`")
        if not source.strip():
            raise FormatError(
                f"{where}: the source (column {options.source_column}, counted from 0) is empty; fill it or delete "
                "the row"
            )
        put = partial(_written, quoting=options.quoting, delimiter=options.delimiter)
        if short:
            content = row.raw.rstrip("\r\n")
            yield content
            yield Unit("", str(row.line), source, None, row.line, partial(_appended, put=put, before=short))
            yield row.raw[len(content) :]
            continue
        begin, cell = row.raw_before(options.target_column), row.cells[options.target_column]
        yield begin
        yield Unit(
            cell.raw,
            str(row.line),
            source,
            target if target.strip() else None,
            row.line,
            put,
        )
        yield row.raw[len(begin) + len(cell.raw) :]
    if odd:
        yield Notice(odd[0], f"{len(odd):,} rows do not have {width} columns like the first row")


class _Cell(NamedTuple):
    raw: str
    text: str


class _Row(NamedTuple):
    raw: str  # with its line end
    cells: list[_Cell]  # only those up to the last column that is read, so a row may have any number of columns
    width: int  # the number of all columns
    blank: bool
    line: int

    def raw_before(self, column: int) -> str:
        """The raw text before a cell: the preceding cells, each with its delimiter."""
        return self.raw[: sum(len(cell.raw) + 1 for cell in self.cells[:column])]


_NAMES = {"\t": "TAB", ",": "a comma", ";": "a semicolon"}


def _plain_rows(file: TextFile, delimiter: str, needed: int) -> Iterator[_Row]:
    for number, line in file.lines():
        raw = line.rstrip("\r\n")
        cells = [_Cell(text, text) for text in raw.split(delimiter, needed)[:needed]]
        yield _Row(line, cells, raw.count(delimiter) + 1, not raw.replace(delimiter, "").strip(), number)


def _quoted_rows(file: TextFile, delimiter: str, needed: int) -> Iterator[_Row]:
    # A list of lines that are a few characters long would take ten times their size.
    row, first, inside = StringIO(newline=""), 1, False
    for number, line in file.lines():
        if not row.tell():
            first = number
        row.write(line)
        inside ^= bool(line.count('"') % 2)
        if not inside:
            raw = row.getvalue()
            cells, width, blank = list[_Cell](), 0, True
            for cell in map(_unquoted, _cells(raw.rstrip("\r\n"), delimiter)):
                if width < needed:
                    cells.append(cell)
                width += 1
                blank = blank and not cell.text.strip()
            yield _Row(raw, cells, width, blank, first)
            row = StringIO(newline="")
        elif row.tell() > LONGEST_LINE:
            break
    if row.tell():
        raise FormatError(f"{file.where}: line {first}: a quoted cell begins here and is never closed")


def _cells(row: str, delimiter: str) -> Iterator[str]:
    begin, inside = 0, False
    for position, character in enumerate(row):
        if character == '"':
            inside = not inside
        elif character == delimiter and not inside:
            yield row[begin:position]
            begin = position + 1
    yield row[begin:]


def _unquoted(raw: str) -> _Cell:
    return _Cell(raw, raw[1:-1].replace('""', '"') if _is_quoted(raw) else raw)


def _is_quoted(text: str) -> bool:
    return len(text) >= 2 and text[0] == text[-1] == '"'


def _written(translation: str, quoting: bool, delimiter: str) -> str:
    if not quoting:
        return " ".join(translation.replace(delimiter, " ").splitlines())
    if any(character in translation for character in ('"', delimiter, "\n", "\r")):
        return '"' + translation.replace('"', '""') + '"'
    return translation


def _appended(translation: str, put: Callable[[str], str], before: str) -> str:
    return before + put(translation)


def _looks_like_header(source: str, target: str) -> bool:
    if max(len(source), len(target)) > _LONGEST_HEADER:
        return False
    names = [text.strip().strip('"').lower() for text in (source, target)]
    return all(name in _HEADERS or _LANGUAGE.fullmatch(name) is not None for name in names) and (
        any(name in _HEADERS for name in names) or all(len(name) in (2, 5) for name in names)
    )
