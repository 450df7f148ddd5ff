"""XML that someone else wrote, as a stream that keeps every character: a file of a gigabyte needs no memory.

A file whose DTD declares entities is refused, because a small file of that kind can become a large text. Nothing
outside the file is ever read. `&nbsp;` and the other names of HTML need no declaration; other names are an error.
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
DEEPEST = 256  # elements in one another
_SLICE = 1 << 12  # bytes that are parsed at a time: an element takes four of them, and some 300 as a token

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
    """An element of a tree. Its places are offsets into the source of the tree."""

    name: str  # without the prefix of a namespace
    attributes: dict[str, str]  # names as written, with their prefix
    line: int
    begin: int
    inner: int = 0  # where the start tag ends
    close: int = 0  # where the end tag begins; an empty tag has inner == close == end
    end: int = 0
    children: list["Element | str"] = field(default_factory=list)

    def get(self, *names: str) -> str:
        """Return the first attribute of these names that is there and not empty, else an empty text."""
        return next((self.attributes[name] for name in names if self.attributes.get(name)), "")

    def elements(self, *names: str) -> Iterator["Element"]:
        """Yield the children of these names, or all of them."""
        return (each for each in self.children if isinstance(each, Element) and (not names or each.name in names))

    def text(self) -> str:
        """Return the text within, of the children too."""
        return "".join(each if isinstance(each, str) else each.text() for each in self.children)


class Tree(NamedTuple):
    """An element that was read whole."""

    root: Element
    source: bytes  # its part of the file, as UTF-8

    def cut(self, begin: int, end: int) -> str:
        """Return what stands between two places."""
        return self.source[begin:end].decode()


class Start(NamedTuple):
    """An element begins that is no tree."""

    name: str
    attributes: dict[str, str]
    line: int
    raw: str


class End(NamedTuple):
    """An element ends; `raw` is empty if its tag did both."""

    name: str
    raw: str


Event = Start | End | Tree | str
"""A str is all else, as the file has it."""


def declared_encoding(head: bytes) -> str | None:
    """Return the encoding that an XML declaration names, or None."""
    found = _DECLARATION.match(head)
    name = found[1].decode() if found else None
    # A declaration that can be read byte by byte is not UTF-16, whatever it says: someone converted the file.
    if name is None or _WIDE.match(name):
        return None
    return "unknown" if name == BINARY else name


def read_xml(file: TextFile, root: str, trees: Collection[str]) -> Iterator[Event]:
    """Yield what is in a file, in its order; elements named in `trees` come whole.

    Raises:
        FormatError: it is no XML, its outermost element is not `root`, or one of the limits above is passed. The line
            is named.
    """
    return _Reader(file, root, trees).read()


def escape(text: str, encoding: str) -> str:
    """Return a text as XML has it between tags.

    White space that XML cannot hold becomes a space, other such characters are dropped. A character that `encoding`
    cannot write becomes a numeric reference.
    """
    text = _FORBIDDEN.sub("", _SPACES.sub(" ", text))
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")
    if encoding.startswith("utf") or text.isascii():
        return text
    return "".join(each if each.isascii() or _holds(encoding, each) else f"&#{ord(each)};" for each in text)


def attribute(tag: str, name: str, value: str | None) -> str:
    """Return a start tag with an attribute set, or without it if `value` is None. The value needs no escapes."""
    found = re.search(rf"""\s{re.escape(name)}\s*=\s*("[^"]*"|'[^']*')""", tag)
    written = "" if value is None else f' {name}="{value}"'
    if found is not None:
        return tag[: found.start()] + written + tag[found.end() :]
    end = len(tag) - (2 if tag.endswith("/>") else 1)
    return tag[:end].rstrip() + written + tag[end:]


def filled(tree: Tree, element: Element, append: bool = False) -> tuple[int, str, tuple[str, str]]:
    """Return where a new content of an element goes: the place, what it replaces there, and what has to be around it.

    With `append` it goes behind what is there.
    """
    if element.inner == element.end:
        raw = tree.cut(element.begin, element.end)
        name = raw[1:-2].split(maxsplit=1)[0]
        return element.begin, raw, (f"{raw[:-2].rstrip()}>", f"</{name}>")
    begin = element.close if append else element.inner
    return begin, tree.cut(begin, element.close), ("", "")


def local(name: str) -> str:
    """Return a name without the prefix of its namespace."""
    return intern(name.rpartition(":")[2])


def _holds(encoding: str, character: str) -> bool:
    try:
        return character.encode(encoding).decode(encoding) == character
    except UnicodeError:
        return False


class _Token(NamedTuple):
    kind: str  # start, end, text or other
    begin: int  # byte of the file, as UTF-8
    line: int
    name: str
    attributes: dict[str, str]
    parts: list[str]


class _Reader:
    """The state of one reading."""

    def __init__(self, file: TextFile, root: str, trees: Collection[str]) -> None:
        self._file, self._root, self._trees = file, root, trees
        self._tokens: list[_Token] = []
        self._buffer, self._base = bytearray(), 0  # what is still needed of the file, and where that begins
        self._depth, self._joins = 0, False  # how deep expat is; whether text goes on with the last token
        self._open: list[Element] = []  # of the tree that is being read, the outermost first
        self._count, self._origin = 0, 0  # elements of that tree, and where it begins
        parser = expat.ParserCreate("utf-8")
        parser.UseForeignDTD(True)  # else an entity without declaration is an error before we can look it up
        parser.specified_attributes = True  # defaults would let a small file become a large one
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
                # A token that is not complete is looked at from its beginning each time, so look less often.
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
            said = expat.ErrorString(error.code)
            raise FormatError(f"{self._file.where}: line {error.lineno}: not well-formed XML: {said}") from error
        if self._open:
            begin, limit, what = self._origin, LONGEST_LINE, f"<{self._open[0].name}>"
        else:
            begin = max(self._parser.CurrentByteIndex, self._base)  # of the token that is not complete
            head = self._buffer[begin - self._base : begin - self._base + 2]
            limit, what = (LONGEST_LINE, "comment") if head.startswith((b"<!", b"<?")) else (LONGEST_TAG, "tag")
        if self._base + len(self._buffer) - begin > limit + 2 * _SLICE:
            self._fail(f"a {what} of more than {limit:,} bytes", self._parser.CurrentLineNumber)

    def _fail(self, what: str, line: int) -> None:
        raise FormatError(f"{self._file.where}: line {line}: {what}")

    # What expat finds

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
            what = self._root.upper() if len(self._root) <= 5 else f"file of <{self._root}>"
            self._fail(f"is no {what}: it begins with <{name[:40]}>, not with <{self._root}>", line)
        self._depth += 1
        if self._depth > DEEPEST:
            self._fail(f"elements stand in one another, more than {DEEPEST} deep", line)
        self._found("start", name, attributes)

    def _on_text(self, text: str) -> None:
        if not self._joins:
            self._found("text")
        self._tokens[-1].parts.append(text)

    def _refuse(self, entity: str, *_: object) -> None:
        self._fail(
            f"declares the entity {entity[:40]!r}, which is not read: write out what it stands for",
            self._parser.CurrentLineNumber,
        )

    def _character(self, name: str, line: int) -> str:
        found = html5.get(f"{name};")
        if found is None:
            self._fail(f"the entity &{name[:40]}; is not declared: write the character, or its number as &#160;", line)
        return found or ""

    # What it is put together to

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
        """Add a token to the tree that is being read; return the tree with its last one."""
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
        """The attributes of a start tag; expat loses the entities that are not declared."""
        if "&" not in raw or not _OWN.search(raw.encode()):
            return token.attributes

        def character(match: re.Match[str]) -> str:
            if match[3] is None:
                return chr(int(match[1], 16) if match[1] else int(match[2].lstrip("0")))
            return self._character(match[3], token.line)

        return {match[1]: _REFERENCE.sub(character, match[2] or match[3] or "") for match in _ATTRIBUTE.finditer(raw)}
