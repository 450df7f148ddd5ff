"""Translate the texts of an XML fragment or an HTML document, and keep its markup.

A document is read into units, each a text with placeholders for the tags within it (`formats.inline`). Its translations
are written back into the document. Tags that a translation lost are appended to it and crossing tags are closed early,
so the result is as well-formed as the source, whatever the translations contain.
"""

import html
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html.entities import html5
from typing import Literal, NamedTuple
from xml.parsers import expat

from seqloom.errors import FormatError, RequestError
from seqloom.formats.encoding import TextFile
from seqloom.formats.html import read_html
from seqloom.formats.inline import Code, Content, codes, label, put_codes, shown
from seqloom.formats.pieces import Options, Piece, Unit, write
from seqloom.formats.xml import DEEPEST, escape
from seqloom.languages import Direction

_MOST_TAGS = 20_000  # in one fragment
_DECLARATION = re.compile(r"\s*<\?xml\s[^>]*\?>")
_TOKEN = re.compile(
    r"<!--.*?-->|<!\[CDATA\[(?P<literal>.*?)\]\]>|<\?.*?\?>"
    r"|<(?P<end>/?)(?P<name>[^\s/>]+)(?:[^>\"']|\"[^\"]*\"|'[^']*')*>",
    re.DOTALL,
)
_NAMED = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)[A-Za-z][A-Za-z0-9]*;")
_SPACES = re.compile(r"[ \t\r\n]+")


class Markup(NamedTuple):
    """A document whose texts are to be translated."""

    texts: list[str]
    write: Callable[[Sequence[str]], str]  # takes a translation of each text, and returns the document


class XmlTags(NamedTuple):
    """How the tags of an XML fragment are read; names are compared as written, with their prefix."""

    ignored: frozenset[str] = frozenset()  # the content of these elements is copied
    splitting: frozenset[str] = frozenset()  # these always separate units
    joining: frozenset[str] = frozenset()  # these never do, unless they contain one that does
    outline: bool = True  # detect the elements that separate units
    newlines: bool = False  # keep line breaks; otherwise runs of white space in a unit become one space


PLAIN = XmlTags()


def read_html_text(text: str, ignored: frozenset[str] = frozenset()) -> Markup:
    """Return the texts of an HTML document or fragment: blocks, and attributes that are displayed.

    The content of `ignored` elements is copied, like that of `script` and of elements with `translate="no"`.

    Raises:
        RequestError: the document is too large.
    """
    file = TextFile(io.BytesIO(text.encode("utf-8", "replace")), "text", "utf-8")
    try:
        pieces: list[Piece] = list(read_html(file, Options(Direction("", "")), ignored))
    except FormatError as error:
        raise RequestError(str(error)) from error
    units = [piece for piece in pieces if isinstance(piece, Unit)]

    def written(translations: Sequence[str]) -> str:
        keys = (unit.key for unit in units)
        return "".join(write(pieces, dict(zip(keys, translations, strict=True))))

    return Markup([unit.source for unit in units], written)


def read_xml_text(text: str, tags: XmlTags = PLAIN) -> Markup:
    """Return the texts of an XML fragment.

    An element separates units if it is in `tags.splitting`, or contains one that does. With `tags.outline`, so do the
    children of an element that has no text of its own, if they follow each other directly or on separate lines.

    Raises:
        RequestError: the fragment is not well-formed or exceeds a limit.
    """
    text = text.encode("utf-8", "replace").decode()
    declaration = _DECLARATION.match(text)
    start = declaration.end() if declaration else 0
    _check(text[start:])
    root = _tree(text[start:])
    _find_structure(root, tags)
    blocks = _Blocks(tags)
    blocks.read(root)
    blocks.end_unit()
    units = [piece for piece in blocks.pieces if isinstance(piece, _Unit)]

    def written(translations: Sequence[str]) -> str:
        following = iter(translations)
        body = (piece if isinstance(piece, str) else piece.put(next(following)) for piece in blocks.pieces)
        return text[:start] + "".join(body)

    return Markup([unit.text for unit in units], written)


def _check(text: str) -> None:
    """Raise `RequestError` unless a fragment is well-formed."""
    # HTML's entities such as &nbsp; are allowed; expat knows only the five of XML.
    known = _NAMED.sub(lambda match: "&amp;" if match[0][1:] in html5 else match[0], text)
    try:
        expat.ParserCreate("utf-8").Parse(f"<fragment>{known}</fragment>".encode(), True)
    except expat.ExpatError as error:
        said = expat.ErrorString(error.code)
        raise RequestError(f"the text is not well-formed XML: line {error.lineno}: {said}") from error


@dataclass(slots=True, eq=False)
class _Part:
    """A part of a fragment: an element, text, or something else (a comment, an instruction)."""

    kind: Literal["element", "text", "other"]
    raw: str = ""  # the start tag of an element
    text: str = ""  # as displayed
    name: str = ""
    end: str = ""  # the end tag; empty for an empty-element tag
    inner: "list[_Part]" = field(default_factory=list)
    splits: bool = False  # the element separates units

    def whole(self) -> str:
        """Return the source of the part."""
        return self.raw + "".join(child.whole() for child in self.inner) + self.end


def _tree(text: str) -> _Part:
    """Return a well-formed fragment as a tree. Raises `RequestError` if it exceeds a limit."""
    root = _Part("element")
    open_, place = [root], 0
    for count, match in enumerate(_TOKEN.finditer(text)):
        _add_text(open_[-1], text[place : match.start()])
        place = match.end()
        if count >= _MOST_TAGS or len(open_) > DEEPEST:
            raise RequestError(f"the text has more than {_MOST_TAGS:,} tags, or more than {DEEPEST} levels of them")
        if match["name"] is None:
            literal = match["literal"]
            kind: Literal["other", "text"] = "other" if literal is None else "text"
            open_[-1].inner.append(_Part(kind, match[0], literal or ""))
        elif match["end"]:
            open_.pop().end = match[0]
        else:
            element = _Part("element", match[0], name=match["name"])
            open_[-1].inner.append(element)
            if not match[0].endswith("/>"):
                open_.append(element)
    _add_text(open_[-1], text[place:])
    return root


def _add_text(element: _Part, raw: str) -> None:
    if raw:
        element.inner.append(_Part("text", raw, html.unescape(raw)))


def _find_structure(element: _Part, tags: XmlTags) -> None:
    """Set `splits` of the elements within one."""
    elements = [child for child in element.inner if child.kind == "element" and child.name not in tags.ignored]
    between = [child.text for child in element.inner if child.kind == "text"]
    structure = tags.outline and all(not text.strip() and ("\n" in text or not text) for text in between)
    for child in elements:
        _find_structure(child, tags)
        child.splits = child.splits or child.name in tags.splitting
        child.splits = child.splits or (structure and len(elements) > 1 and child.name not in tags.joining)
        element.splits = element.splits or child.splits


@dataclass(slots=True)
class _Unit:
    """A text to translate, with its codes."""

    text: str
    own: list[Code]

    def put(self, translation: str) -> str:
        """Return the translation in XML."""
        translation = _hugging(translation, self.text, self.own)
        return put_codes(translation, self.own, (), lambda text: escape(text, "utf-8"))


def _hugging(translation: str, text: str, own: Sequence[Code]) -> str:
    """Return the translation with spaces moved out of its pairs of tags, if the text has none there.

    A model tends to put spaces around tags, which would make a link or a bold word look too long.
    """
    for code in own:
        if code.partner is None:
            continue
        if f"{code.label} " not in text:
            translation = _space_before(translation, code.label)
        if f" {code.partner.label}" not in text:
            translation = _space_after(translation, code.partner.label)
    return translation


def _space_before(translation: str, tag: str) -> str:
    def moved(found: re.Match[str]) -> str:
        space = found[2] or (" " if found[1] else "")
        return f"{found[1]}{space}{tag}"

    return re.sub(rf"(\w?)( ?){re.escape(tag)} +", moved, translation)


def _space_after(translation: str, tag: str) -> str:
    def moved(found: re.Match[str]) -> str:
        space = found[1] or (" " if found[2] else "")
        return f"{tag}{space}{found[2]}"

    return re.sub(rf" +{re.escape(tag)}( ?)(\w?)", moved, translation)


class _Blocks:
    """The pieces of a fragment: units, and what is copied between them."""

    def __init__(self, tags: XmlTags) -> None:
        self.pieces: list[str | _Unit] = []
        self._tags = tags
        self._content: list[tuple[str, str | Code]] = []  # source, and text or code

    def read(self, element: _Part) -> None:
        """Read the content of an element."""
        for child in element.inner:
            if child.kind == "text":
                self._content.append((child.raw, child.text))
            elif child.kind == "other" or child.name in self._tags.ignored or not (child.end or child.splits):
                self._content.append((child.whole(), Code("standalone", child.whole())))
            elif child.splits:
                self.end_unit()
                self.pieces.append(child.raw)
                self.read(child)
                self.end_unit()
                self.pieces.append(child.end)
            else:
                opening = Code("open", child.raw, nested=True)
                opening.partner = Code("close", child.end, nested=True, partner=opening)
                self._content.append((child.raw, opening))
                self.read(child)
                self._content.append((child.end, opening.partner))

    def end_unit(self) -> None:
        """Add what was read to the pieces. Tags around the whole text, and white space, stay outside the unit."""
        found, self._content = self._content, []
        if not any(isinstance(part, str) and part.strip() for _, part in found):
            self.pieces.extend(raw for raw, _ in found)
            return
        first, last = 0, len(found)
        while True:
            head, tail = found[first][1], found[last - 1][1]
            if self._is_blank(head):
                first += 1
            elif self._is_blank(tail):
                last -= 1
            elif isinstance(head, Code) and head.partner is not None and head.partner is tail:
                first, last = first + 1, last - 1
            else:
                break
        self.pieces.extend(raw for raw, _ in found[:first])
        self._add([part for _, part in found[first:last]])
        self.pieces.extend(raw for raw, _ in found[last:])

    @staticmethod
    def _is_blank(part: str | Code) -> bool:
        return isinstance(part, str) and not part.strip()

    def _add(self, content: Content) -> None:
        if not self._tags.newlines:
            content = [_SPACES.sub(" ", part) if isinstance(part, str) else part for part in content]
        label(content)
        text = shown(content)
        body = text.strip()
        before, _, after = text.partition(body)
        self.pieces += [before, _Unit(body, codes(content)), after]
