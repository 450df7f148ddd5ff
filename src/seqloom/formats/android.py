r"""The format `android`: strings.xml, one file per language, with strings, string arrays and plurals.

A text's key is its name: `title`, or `title@tablet` for a `product`, `days[0]` in an array, `files{one}` in a plural.
Texts are unescaped as by Android: `\'`, `\n` and `\u00e9` are characters, quotes preserve white space, and other white
space collapses to one space. References (`@string/other`) are skipped. `translatable="false"` is the flag
`untranslatable`.

Tags become placeholders without their attributes: `<b>`. An `<xliff:g>`, whose content must not be translated, is one
placeholder: its content if that is a placeholder (`%1$s`), else `<x id="NAME"/>`.
"""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import NamedTuple

from seqloom.formats.encoding import TextFile
from seqloom.formats.inline import (
    Code,
    Content,
    InlineRules,
    Role,
    codes,
    is_placeholder,
    is_plain,
    label,
    put_codes,
    read_content,
    shown,
)
from seqloom.formats.pieces import Flag, Options, Piece, Skip, Unit
from seqloom.formats.xml import Element, End, Start, Tree, escape, filled, local, read_xml

_GROUPS = ("array", "plurals", "string-array")
_TOKEN = re.compile(r"""\\u[0-9A-Fa-f]{4}|\\.?|"|[ \t\r\n]+|[^\\" \t\r\n]+""", re.DOTALL)
_REFERENCE = re.compile(r"[@?][+*]?(?:[\w.]+:)?(?:\w+/)?[\w.]+")
_SPACES = re.compile(" {2,}")
_UNWRITTEN = re.compile("[\x00-\x1f\x7f\ufffe\uffff]")
_ESCAPES = str.maketrans({"\\": r"\\", "'": r"\'", '"': r"\"", "\n": r"\n", "\t": r"\t"})
_CHARACTERS = {"n": "\n", "t": "\t", "\n": ""}


def read_android(file: TextFile, options: Options) -> Iterator[Piece]:
    """Yield a unit for every string and every item of an array or plural.

    Raises:
        FormatError: the file is not an Android resource file.
    """
    seen: set[int] = set()  # hashes of keys
    around: Start | None = None  # the open array or plural
    number = 0
    for event in read_xml(file, "resources", {"string", "item"}):
        match event:
            case Tree(root) if root.name == "string":
                yield from _read(event, _Text(_name(root.attributes), ""), root.attributes, file, seen)
            case Tree(root) if around is not None:
                yield from _read(event, _item(around, root, number), around.attributes, file, seen)
                number += 1
            case Tree(root):
                yield event.cut(0, root.end)
            case Start(name):
                if name in _GROUPS:
                    around, number = event, 0
                yield event.raw
            case End(name):
                if name in _GROUPS:
                    around = None
                yield event.raw
            case raw:
                yield raw


class _Text(NamedTuple):
    """A text's key, and for plural forms the key of the form `other`."""

    key: str
    other: str


def _name(attributes: Mapping[str, str]) -> str:
    product = attributes.get("product")
    return attributes.get("name", "") + (f"@{product}" if product else "")


def _item(around: Start, item: Element, number: int) -> _Text:
    name = _name(around.attributes)
    if around.name == "plurals":
        return _Text(f"{name}{{{item.get('quantity')}}}", f"{name}{{other}}")
    return _Text(f"{name}[{number}]", "")


def _read(tree: Tree, name: _Text, attributes: Mapping[str, str], file: TextFile, seen: set[int]) -> Iterator[Piece]:
    root = tree.root
    flags: tuple[Flag, ...] = ("untranslatable",) if attributes.get("translatable") == "false" else ()
    begin, raw, around = filled(tree, root)
    content = _unescaped(read_content(tree, root, _RULES))
    label(content)
    text = shown(content)
    yield tree.cut(0, begin)
    if not codes(content) and _REFERENCE.fullmatch(root.text().strip()):
        yield Skip(raw, "reference", root.line, text)
    elif hash(name.key) in seen:
        yield Skip(raw, "duplicate key", root.line, text)
    else:
        seen.add(hash(name.key))
        put = partial(_put, own=codes(content), around=around, encoding=file.encoding)
        yield Unit(raw, name.key, text, None, root.line, put, flags=flags, other=name.other)
    yield tree.cut(begin + len(raw.encode()), root.end)


def _unescaped(content: Content) -> Content:
    """Unescape the texts as Android does; quoting and white space continue across codes."""
    found: Content = []
    quoted, space = False, False
    for part in content:
        if isinstance(part, Code):
            if space and found:
                found.append(" ")
            space = False
            found.append(part)
            continue
        written: list[str] = []
        for token in _TOKEN.findall(part):
            if token == '"':
                quoted = not quoted
                text = ""
            elif token[0] in " \t\r\n":
                text = token if quoted else ""
                space = space or not quoted
            else:
                text = _character(token) if token[0] == "\\" else token
            if text:
                if space and (written or found):
                    written.append(" ")
                space = False
                written.append(text)
        if written:
            found.append("".join(written))
    return _joined(found)


def _joined(content: Content) -> Content:
    r"""Combine surrogate pairs that are written as two escapes, such as `\ud83d\ude00`."""
    return [
        each.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if isinstance(each, str) and any("\ud800" <= character <= "\udfff" for character in each)
        else each
        for each in content
    ]


def _character(token: str) -> str:
    if token.startswith("\\u") and len(token) == 6:
        return chr(int(token[2:], 16))
    return _CHARACTERS.get(token[1:], token[1:])


def _put(translation: str, own: list[Code], around: tuple[str, str], encoding: str) -> str:
    written = put_codes(translation, own, (), partial(_escaped, encoding=encoding))
    if written.startswith(("@", "?")):
        written = f"\\{written}"
    if written.startswith(" "):
        written = rf"\u0020{written[1:]}"
    if written.endswith(" "):
        written = rf"{written[:-1]}\u0020"
    return around[0] + written + around[1]


def _escaped(text: str, encoding: str) -> str:
    text = _UNWRITTEN.sub(lambda match: rf"\u{ord(match[0]):04x}", text.translate(_ESCAPES))
    return escape(_SPACES.sub(lambda match: " " + r"\u0020" * (len(match[0]) - 1), text), encoding)


def _role(element: Element) -> Role:
    return "standalone" if element.name == "g" else "paired"


def _spelling(element: Element) -> str:
    if element.name == "g":
        inside = element.text()
        named = f'<x id="{element.get("id")}"/>'
        return inside if is_plain(inside) else named if is_placeholder(named) else ""
    tag = f"<{local(element.name)}/>" if element.inner == element.end else f"<{local(element.name)}>"
    return tag if is_placeholder(tag) else ""


_RULES = InlineRules(_role, lambda element: "", lambda element: (), _spelling)
