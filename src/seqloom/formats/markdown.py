"""The format `markdown`: one document per language; texts are paired by their order.

A text is a heading, a paragraph, a paragraph of a list item or a table cell. Its lines are joined; only hard breaks
become line feeds. Front matter, code blocks, HTML blocks, comments, link definitions and blocks without letters are
copied; lines of HTML that contain text are counted as skipped. `markdown_inline` describes the content of a text.
"""

import re
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from seqloom.formats.encoding import TextFile
from seqloom.formats.inline import Content, shown
from seqloom.formats.markdown_inline import named, parsed, put_text, with_ends
from seqloom.formats.pieces import Options, Piece, Skip, Unit

_QUOTE = re.compile(r"[ \t]*(?:>[ \t]?[ \t]*)*")
_ITEM = re.compile(r"(?:[-*+]|[0-9]{1,9}[.)])(?:[ \t]+|$)(?:\[[ xX]\][ \t]+)?")
_HEADING = re.compile(r"#{1,6}(?:[ \t]+|$)")
_RULE = re.compile(r"(?:-[ \t]*+){3,}$|(?:\*[ \t]*+){3,}$|(?:_[ \t]*+){3,}$")
_UNDERLINE = re.compile(r"(?:=++|-++)[ \t]*$")
_FENCE = re.compile(r"(`{3,}(?=[^`]*$)|~{3,})")
_DEFINITION = re.compile(r"\[[^\]^][^\]]*\]:[ \t]*\S")
_FOOTNOTE = re.compile(r"\[\^[^\]\s]+\]:[ \t]*")
_DELIMITERS = re.compile(r"\|?[ \t]*+:?-++:?[ \t]*+(?:\|[ \t]*+:?-++:?[ \t]*+)*+\|?[ \t]*$")
_HTML = re.compile(
    r"<(?:[?!]|/?(?:address|article|aside|base|blockquote|body|caption|center|col|colgroup|dd|details|dialog|dir|div|dl|"
    r"dt|fieldset|figcaption|figure|footer|form|frame|frameset|h[1-6]|head|header|hr|html|iframe|legend|li|link|main|menu|"
    r"menuitem|nav|noframes|ol|optgroup|option|p|param|pre|script|search|section|style|summary|table|tbody|td|textarea|"
    r"tfoot|th|thead|title|tr|track|ul)(?=[\s/>]|$)|/?[A-Za-z][^<>]*>[ \t]*$)",
    re.IGNORECASE,
)
_TAG = re.compile(r"<[^<>]*+>?")
_UNTIL_END = re.compile(r"<(script|pre|style|textarea)(?=[\s>]|$)", re.IGNORECASE)
_CELL = re.compile(r"(?:[^|\\]|\\.)*+")
_BEGINS_BLOCK = re.compile(r"[#>+=|:~-]|[0-9]{1,9}(?=[.)])")
_MOST_LINES = 2_000  # per paragraph; a longer one is split
_MOST_MARKERS = 20  # of nested lists on one line


def read_markdown(file: TextFile, options: Options) -> Iterator[Piece]:
    """Yield a unit for every text; keys are consecutive numbers. Raises `FormatError` like `TextFile.lines`."""
    reader = _Reader()
    for number, line in file.lines():
        yield from reader.take(number, line)
    yield from reader.end()


class _Line(NamedTuple):
    """A line of a paragraph."""

    begin: str  # quote marks, indentation, list marker
    text: str
    end: str  # trailing white space and line end
    number: int


class _Reader:
    """State while reading a file."""

    def __init__(self) -> None:
        self._paragraph: list[_Line] = []
        self._units = 0
        self._until: re.Pattern[str] | None = None  # matches the last line of the block being copied
        self._until_blank = False  # copying an HTML block that ends at a blank line
        self._table = False
        self._indent = 0  # of the last list item's text; 0 outside lists
        self._in_html = False  # the block being copied is HTML

    def take(self, number: int, line: str) -> Iterator[Piece]:
        """Read a line; yield completed pieces."""
        content = line.rstrip("\r\n")
        begin = _QUOTE.match(content)
        start = begin.end() if begin else 0
        rest = content[start:]
        if self._until is not None:
            if self._until.search(rest):
                self._until = None
            yield self._copied(number, line)
        elif number == 1 and re.fullmatch(r"(?:---|\+\+\+)[ \t]*", content):
            self._until = re.compile(r"^(?:\.\.\.|" + re.escape(content[:3]) + r")[ \t]*$")
            yield line
        elif not rest.strip():
            yield from self.end()
            self._until_blank = self._table = False
            yield line
        elif self._until_blank:
            yield self._copied(number, line)
        elif self._table:
            yield from self._row(number, line, start)
        else:
            yield from self._block(number, line, content, start)

    def end(self) -> Iterator[Piece]:
        """Yield the open paragraph."""
        lines, self._paragraph = self._paragraph, []
        if not lines:
            return
        first, last = lines[0], lines[-1]
        parts = []
        for each in lines:
            hard = each is not last and (each.end.startswith("  ") or each.text.endswith("\\"))
            text = each.text[:-1] if each is not last and each.text.endswith("\\") else each.text
            parts += [text.strip(" \t"), "\n" if hard else " "]
        raw = "".join(f"{each.begin}{each.text}{each.end}" for each in lines)
        raw = raw[len(first.begin) : len(raw) - len(last.end)]
        yield first.begin
        yield self._unit(raw, parsed("".join(parts[:-1])), first.number, partial(_put_paragraph, lines=lines))
        yield last.end

    def _block(self, number: int, line: str, content: str, start: int) -> Iterator[Piece]:
        rest = content[start:]
        indent = len(content[:start].expandtabs(4)) - content[:start].count(">")
        if not self._paragraph:
            if not indent:
                self._indent = 0 if not _ITEM.match(rest) else self._indent
            if indent >= self._indent + 4:
                yield line  # code
                return
        elif _UNDERLINE.match(rest):
            yield from self.end()
            yield line
            return
        elif "|" in rest + self._paragraph[-1].text and _DELIMITERS.match(rest):
            header = self._paragraph.pop()
            yield from self.end()
            yield from self._row(header.number, f"{header.begin}{header.text}{header.end}", len(header.begin))
            yield line
            self._table = True
            return
        for _ in range(_MOST_MARKERS):
            item = None if _RULE.match(content, start) else _ITEM.match(content, start)
            if item is None or (self._paragraph and not self._indent and item[0][0].isdigit() and item[0][:2] != "1."):
                break
            if self._paragraph and not content[item.end() :].strip():
                break  # an empty item does not end a paragraph
            yield from self.end()
            start = item.end()
            self._indent = start
        yield from self._text(number, line, content, start)

    def _text(self, number: int, line: str, content: str, start: int) -> Iterator[Piece]:
        rest = content[start:]
        fence, heading = _FENCE.match(rest), _HEADING.match(rest)
        if fence is not None:
            yield from self.end()
            self._in_html = False
            self._until = re.compile(f"^[ \\t]*{re.escape(fence[1])}{re.escape(fence[1][0])}*[ \\t]*$")
            yield line
        elif heading is not None:
            yield from self.end()
            begin = start + heading.end()
            text = content[begin:].rstrip(" \t")
            unclosed = text.rstrip("#")
            if not unclosed or unclosed[-1] in " \t":
                text = unclosed.rstrip(" \t")
            yield from self._one_line(number, line, begin, begin + len(text), table=False)
        elif _RULE.match(rest):
            yield from self.end()
            yield line
        elif rest.startswith("<!--"):
            yield from self.end()
            if "-->" not in rest:
                self._in_html, self._until = False, re.compile("-->")
            yield line
        elif not self._paragraph and _HTML.match(rest):
            element = _UNTIL_END.match(rest)
            if element is None:
                self._until_blank = True
            elif f"</{element[1].lower()}" not in rest.lower():
                self._until = re.compile(f"</{element[1]}", re.IGNORECASE)
            self._in_html = True
            yield self._copied(number, line)
        elif not self._paragraph and _DEFINITION.match(rest):
            yield line
        else:
            footnote = _FOOTNOTE.match(rest)
            if footnote is not None:
                yield from self.end()
                start += footnote.end()
            text = content[start:].rstrip(" \t")
            self._paragraph.append(_Line(content[:start], text, line[start + len(text) :], number))
            if len(self._paragraph) >= _MOST_LINES or not text:
                yield from self.end()

    def _row(self, number: int, line: str, start: int) -> Iterator[Piece]:
        """Yield a table row with a unit for every cell."""
        content = line.rstrip("\r\n")
        copied = 0
        while start <= len(content):
            cell = _CELL.match(content, start)
            end = cell.end() if cell else len(content)
            text = content[start:end]
            begin = start + len(text) - len(text.lstrip(" \t"))
            if text.strip(" \t"):
                yield line[copied:begin]
                copied = begin + len(text.strip(" \t"))
                yield self._unit(
                    line[begin:copied],
                    parsed(line[begin:copied].replace("\\|", "|")),
                    number,
                    partial(_put_line, table=True),
                )
            start = end + 1
        yield line[copied:]

    def _one_line(self, number: int, line: str, begin: int, end: int, table: bool) -> Iterator[Piece]:
        yield line[:begin]
        if begin < end:
            yield self._unit(line[begin:end], parsed(line[begin:end]), number, partial(_put_line, table=table))
        yield line[end:]

    def _unit(self, raw: str, content: Content, line: int, put: "partial[str]") -> Piece:
        if not any(isinstance(each, str) and any(map(str.isalnum, each)) for each in content):
            return raw
        self._units += 1
        own = named(content)
        return Unit(raw, str(self._units), shown(own), None, line, partial(put, own=own))

    def _copied(self, number: int, line: str) -> Piece:
        if self._in_html and any(map(str.isalnum, _TAG.sub("", line))):
            return Skip(line, "HTML in Markdown", number, line.strip())
        return line


def _put_line(translation: str, own: Content, table: bool) -> str:
    return put_text(translation, own, table) or "&#32;"


def _put_paragraph(translation: str, own: Content, lines: list[_Line]) -> str:
    """One line, or several separated by hard breaks, with the quote marks and indentation of the text."""
    written = put_text(translation, own, table=False)
    if not written:
        return "&#32;"
    begin = re.sub(r"[^>\s]", " ", lines[0].begin) if len(lines) < 2 else lines[1].begin
    line_end = "\r\n" if lines[0].end.endswith("\r\n") else "\n"
    parts = [_as_text(with_ends(part)) for part in written.split("&#10;")]
    if len(parts) > 1 and not parts[-1]:  # a hard break at the end would be read as a backslash
        return "&#10;".join(parts)
    return f"\\{line_end}{begin}".join(parts)


def _as_text(line: str) -> str:
    """Escape the line if it would start a block."""
    found = _BEGINS_BLOCK.match(line)
    if found is None:
        return line
    if found[0][0].isdigit():
        return f"{found[0]}\\{line[found.end() :]}"
    return f"\\{line}"
