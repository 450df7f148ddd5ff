"""Streaming XML reader that preserves every character: memory does not grow with the size of the file.

A file whose DTD declares entities is rejected, because entities can expand to enormous text. Nothing outside the file
is ever read. HTML's named characters such as `&nbsp;` need no declaration; other undeclared names are errors.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from html.entities import html5
from itertools import pairwise
from sys import intern
from typing import NamedTuple
from xml.parsers import expat

from seqloom.errors import FormatError
from seqloom.formats.encoding import BINARY, LONGEST_LINE, TextFile

LONGEST_TAG = 1 << 18  # bytes
MOST_ELEMENTS = 5_000  # in one tree
DEEPEST = 256  # levels of nesting
_SLICE = 1 << 12  # bytes parsed at a time; an element can take four of them, and its tokens about 300

_DECLARATION = re.compile(rb"""\s*<\?xml\s[^>]{0,200}?\sencoding\s*=\s*["']([A-Za-z0-9._:-]{1,40})["']""")
_WIDE = re.compile(r"utf-?(16|32)|ucs|iso-10646", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""([^\s=<>"'/]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_REFERENCE = re.compile(r"&(?:#x([0-9A-Fa-f]+)|#([0-9]+)|([^\s;&#]+));")
_OWN = re.compile(rb"&(?!#|amp;|lt;|gt;|quot;|apos;)")
_SPACES = re.compile(r"[\x0b\x0c\x1c-\x1f]")
_NO_ATTRIBUTES: dict[str, str] = {}  # one for all elements without attributes; nothing writes into it
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(slots=True, eq=False)
class Element:
    """An element of a tree. Its positions are byte offsets into the source of the tree."""

    name: str  # without namespace prefix
    attributes: dict[str, str]  # names as written, with prefix
    line: int
    begin: int
    inner: int = 0  # end of the start tag
    close: int = 0  # start of the end tag; for an empty tag, inner == close == end
    end: int = 0
    children: list["Element | str"] = field(default_factory=list)

    def get(self, *names: str) -> str:
        """Return the first non-empty attribute of these names, else an empty string."""
        return next((self.attributes[name] for name in names if self.attributes.get(name)), "")

    def elements(self, *names: str) -> Iterator["Element"]:
        """Yield the child elements with these names, or all child elements."""
        return (each for each in self.children if isinstance(each, Element) and (not names or each.name in names))

    def text(self) -> str:
        """Return the text content, including that of descendants."""
        return "".join(each if isinstance(each, str) else each.text() for each in self.children)


class Tree(NamedTuple):
    """An element that was read completely."""

    root: Element
    source: bytes  # its part of the file, in UTF-8

    def cut(self, begin: int, end: int) -> str:
        """Return the source between two byte offsets."""
        return self.source[begin:end].decode()


class Start(NamedTuple):
    """The start tag of an element that is not read as a tree."""

    name: str
    attributes: dict[str, str]
    line: int
    raw: str


class End(NamedTuple):
    """An end tag; `raw` is empty if the start tag was an empty-element tag."""

    name: str
    raw: str


Event = Start | End | Tree | str
"""A str is anything else, unchanged."""


def declared_encoding(head: bytes) -> str | None:
    """Return the encoding that an XML declaration names, or None."""
    found = _DECLARATION.match(head)
    name = found[1].decode() if found else None
    # If the declaration is readable as single bytes, the file was converted from UTF-16 and no longer is.
    if name is None or _WIDE.match(name):
        return None
    return "unknown" if name == BINARY else name


def read_xml(file: TextFile, root: str, trees: Collection[str]) -> Iterator[Event]:
    """Yield the contents of a file in order; elements named in `trees` are yielded whole.

    Raises:
        FormatError: the file is not XML, its root element is not `root`, or it exceeds a limit of this module. The
            error names the line.
    """
    return _Reader(file, root, trees).read()


def escape(text: str, encoding: str) -> str:
    """Return the text escaped for use between XML tags.

    White space that XML does not allow becomes a space; other disallowed characters are dropped. A character that
    `encoding` cannot represent becomes a numeric reference.
    """
    text = _FORBIDDEN.sub("", _SPACES.sub(" ", text))
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")
    if encoding.startswith("utf") or text.isascii():
        return text
    return "".join(each if each.isascii() or _holds(encoding, each) else f"&#{ord(each)};" for each in text)


def attribute(tag: str, name: str, value: str | None) -> str:
    """Return a start tag with an attribute set, or removed if `value` is None. The value is not escaped."""
    found = re.search(rf"""\s{re.escape(name)}\s*=\s*("[^"]*"|'[^']*')""", tag)
    written = "" if value is None else f' {name}="{value}"'
    if found is not None:
        return tag[: found.start()] + written + tag[found.end() :]
    end = len(tag) - (2 if tag.endswith("/>") else 1)
    return tag[:end].rstrip() + written + tag[end:]


def filled(tree: Tree, element: Element, append: bool = False) -> tuple[int, str, tuple[str, str]]:
    """Return where new content of an element goes: its offset, the text it replaces, and the tags to put around it.

    With `append`, it goes after the existing content.
    """
    if element.inner == element.end:
        raw = tree.cut(element.begin, element.end)
        name = raw[1:-2].split(maxsplit=1)[0]
        return element.begin, raw, (f"{raw[:-2].rstrip()}>", f"</{name}>")
    begin = element.close if append else element.inner
    return begin, tree.cut(begin, element.close), ("", "")


def local(name: str) -> str:
    """Return a name without its namespace prefix."""
    return intern(name.rpartition(":")[2])


def _holds(encoding: str, character: str) -> bool:
    try:
        return character.encode(encoding).decode(encoding) == character
    except UnicodeError:
        return False


class _Token(NamedTuple):
    kind: str  # start, end, text or other
    begin: int  # byte offset in the file as UTF-8
    line: int
    name: str
    attributes: dict[str, str]
    parts: list[str]


class _Reader:
    """State while reading a file."""

    def __init__(self, file: TextFile, root: str, trees: Collection[str]) -> None:
        self._file, self._root, self._trees = file, root, trees
        self._tokens: list[_Token] = []
        self._buffer, self._base = bytearray(), 0  # unconsumed bytes, and their offset in the file
        self._depth, self._joins = 0, False  # expat's depth; whether text continues the last token
        self._open: list[Element] = []  # open elements of the current tree, outermost first
        self._count, self._origin = 0, 0  # of the current tree: number of elements, offset in the file
        parser = expat.ParserCreate("utf-8")
        parser.UseForeignDTD(True)  # otherwise expat rejects undeclared entities before we can look them up
        parser.specified_attributes = True  # defaults from a DTD could make a small file huge
        parser.StartElementHandler = self._on_start
        parser.EndElementHandler = lambda name: self._found("end", name)
        parser.CharacterDataHandler = self._on_text
        parser.SkippedEntityHandler = lambda name, _: self._on_text(self._character(name, parser.CurrentLineNumber))
        parser.DefaultHandlerExpand = lambda _: self._found("other")
        parser.EntityDeclHandler = self._refuse
        self._parser = parser

    def read(self) -> Iterator[Event]:
        waiting, wait = bytearray(), _SLICE
        for block in self._file.blocks():
            waiting += block.encode("utf-8", "replace")
            begin = 0
            while len(waiting) - begin >= wait:
                found = len(self._tokens)
                self._parse(bytes(waiting[begin : begin + wait]))
                begin += wait
                # expat rescans an incomplete token from its start each time, so feed it larger slices.
                wait = 2 * wait if len(self._tokens) == found else _SLICE
                yield from self._events()
            del waiting[:begin]
        self._parse(bytes(waiting))
        self._parse(b"", final=True)
        self._tokens.append(_Token("other", self._base + len(self._buffer), 0, "", {}, []))
        yield from self._events()

    def _parse(self, content: bytes, final: bool = False) -> None:
        self._buffer += content
        try:
            self._parser.Parse(content, final)
        except expat.ExpatError as error:
            reason = expat.ErrorString(error.code)
            raise FormatError(f"{self._file.where}: line {error.lineno}: not well-formed XML: {reason}") from error
        # The token that is not complete; within a tree, the tree as well.
        begin = max(self._parser.CurrentByteIndex, self._base)
        head = self._buffer[begin - self._base : begin - self._base + 2]
        limit, what = (LONGEST_LINE, "comment") if head.startswith((b"<!", b"<?")) else (LONGEST_TAG, "tag")
        self._limit(begin, limit, what)
        if self._open:
            self._limit(self._origin, LONGEST_LINE, f"<{self._open[0].name}>")

    def _limit(self, begin: int, limit: int, what: str) -> None:
        if self._base + len(self._buffer) - begin > limit + 2 * _SLICE:
            self._fail(f"a {what} is longer than {limit:,} bytes", self._parser.CurrentLineNumber)

    def _fail(self, what: str, line: int) -> None:
        raise FormatError(f"{self._file.where}: line {line}: {what}")

    # Handlers that collect tokens from expat

    def _found(self, kind: str, name: str = "", attributes: dict[str, str] | None = None) -> None:
        parser = self._parser
        begin, line = parser.CurrentByteIndex, parser.CurrentLineNumber
        if kind == "end":
            self._depth -= 1
        self._tokens.append(_Token(kind, begin, line, local(name), attributes or _NO_ATTRIBUTES, []))
        self._joins = kind == "text"

    def _on_start(self, name: str, attributes: dict[str, str]) -> None:
        line = self._parser.CurrentLineNumber
        if self._depth == 0 and local(name) != self._root:
            what = self._root.upper() if len(self._root) <= 5 else f"a <{self._root}> file"
            self._fail(f"not {what}: the root element is <{name[:40]}>, not <{self._root}>", line)
        self._depth += 1
        if self._depth > DEEPEST:
            self._fail(f"elements are nested deeper than {DEEPEST} levels", line)
        self._found("start", name, attributes)

    def _on_text(self, text: str) -> None:
        if not self._joins:
            self._found("text")
        self._tokens[-1].parts.append(text)

    def _refuse(self, entity: str, *_: object) -> None:
        self._fail(
            f"declares the entity {entity[:40]!r}: entity declarations are not supported; replace it by its text",
            self._parser.CurrentLineNumber,
        )

    def _character(self, name: str, line: int) -> str:
        found = html5.get(f"{name};")
        if found is None:
            self._fail(f"entity &{name[:40]}; is not declared: write the character or a reference such as &#160;", line)
        return found or ""

    # Assembling tokens into events

    def _events(self) -> Iterator[Event]:
        tokens, self._tokens = self._tokens, self._tokens[-1:]
        self._joins = False
        if tokens and tokens[0].begin > self._base and not self._open:
            yield self._take(tokens[0].begin).decode()
        for token, following in pairwise(tokens):
            if self._open or (token.kind == "start" and token.name in self._trees):
                tree = self._grow(token, following.begin)
                if tree is not None:
                    yield tree
                continue
            raw = self._take(following.begin).decode()
            match token.kind:
                case "start":
                    yield Start(token.name, self._attributes(token, raw), token.line, raw)
                case "end":
                    yield End(token.name, raw)
                case _:
                    yield raw

    def _take(self, end: int) -> bytes:
        raw = bytes(self._buffer[: end - self._base])
        del self._buffer[: end - self._base]
        self._base = end
        return raw

    def _grow(self, token: _Token, end: int) -> Tree | None:
        """Add a token to the current tree; return the tree if the token completes it."""
        if not self._open:
            self._origin, self._count = token.begin, 0
        match token.kind:
            case "start":
                self._count += 1
                if self._count > MOST_ELEMENTS:
                    self._fail(f"a <{self._open[0].name}> has more than {MOST_ELEMENTS:,} elements", token.line)
                raw = self._buffer[token.begin - self._base : end - self._base].decode()
                begin = token.begin - self._origin
                element = Element(token.name, self._attributes(token, raw), token.line, begin)
                element.inner = end - self._origin
                if self._open:
                    self._open[-1].children.append(element)
                self._open.append(element)
            case "text":
                self._open[-1].children.append("".join(token.parts))
            case "end":
                element = self._open.pop()
                element.close, element.end = token.begin - self._origin, end - self._origin
                if not self._open:
                    return Tree(element, self._take(end))
        return None

    def _attributes(self, token: _Token, raw: str) -> dict[str, str]:
        """The attributes of a start tag, including the undeclared entities that expat drops."""
        if "&" not in raw or not _OWN.search(raw.encode()):
            return token.attributes

        def character(match: re.Match[str]) -> str:
            if match[3] is None:
                return chr(int(match[1], 16) if match[1] else int(match[2].lstrip("0")))
            return self._character(match[3], token.line)

        return {match[1]: _REFERENCE.sub(character, match[2] or match[3] or "") for match in _ATTRIBUTE.finditer(raw)}
