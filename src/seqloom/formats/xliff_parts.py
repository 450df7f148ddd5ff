"""What all versions of XLIFF share: the context of a unit, and the writing of targets."""

import base64
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from seqloom.formats.inline import (
    Content,
    Rules,
    codes,
    is_placeholder,
    is_plain,
    label,
    put_codes,
    read_content,
    shown,
)
from seqloom.formats.pieces import Flag, Piece, Unit
from seqloom.formats.xml import Element, Tree, attribute, escape


class Place(NamedTuple):
    """What the surrounding document determines about a unit."""

    key: str
    languages: tuple[str, str]
    document: str
    untranslatable: bool
    encoding: str
    wanted: str  # the target language to write if the file declares none


@dataclass(frozen=True, slots=True)
class Texts:
    """The source and target of one segment, ready to become a unit."""

    source: Content
    target: Content | None
    write: Callable[[str], str]


def read_texts(tree: Tree, source: Element, target: Element | None, rules: Rules, encoding: str) -> Texts:
    """Read two elements, using the same placeholders on both sides."""
    left = read_content(tree, source, rules)
    right = None if target is None else read_content(tree, target, rules)
    further = label(left, right)
    write = partial(put_codes, own=codes(left), further=further, escape=partial(escape, encoding=encoding))
    return Texts(left, right, write)


def as_unit(texts: Texts, place: Place, raw: str, put: Callable[[str], str], line: int, flags: Sequence[Flag]) -> Unit:
    """Return a unit for the two texts."""
    target = "" if texts.target is None else shown(texts.target)
    marked: tuple[Flag, ...] = ("untranslatable",) if place.untranslatable else ()
    return Unit(
        raw,
        place.key,
        shown(texts.source),
        target if target.strip() else None,
        line,
        put,
        place.languages,
        place.document,
        tuple(dict.fromkeys((*marked, *flags))),
    )


def languages(place: Place, source: Element, target: Element | None) -> tuple[str, str]:
    """Return the languages that the elements declare, else those of the file."""
    own = "" if target is None else target.get("xml:lang")
    return source.get("xml:lang") or place.languages[0], own or place.languages[1]


def target_tags(tree: Tree, source: Element, place: Place, state: str | None) -> tuple[str, str]:
    """Return the tags of a new target, with the namespace prefix of the source's tags."""
    name = re.split(r"[\s/>]", tree.cut(source.begin, source.inner)[1:], maxsplit=1)[0]
    name = name.removesuffix("source").removesuffix("seg-") + "target"
    tag = attribute(f"<{name}>", "state", state)
    if not place.languages[1]:
        tag = attribute(tag, "xml:lang", place.wanted)
    return tag, f"</{name}>"


def indent(tree: Tree, root: Element, source: Element) -> str:
    """Return the white space before the source, which a target inserted below it repeats."""
    end = max((each.end for each in root.elements() if each.end <= source.begin), default=root.inner)
    before = tree.cut(end, source.begin)
    return before if before.isspace() else ""


def put_between(translation: str, before: str, write: Callable[[str], str], after: str) -> str:
    """Return a translation between `before` and `after`."""
    return before + write(translation) + after


def spelled(element: Element, *names: str) -> str:
    """Return the placeholder that a code's attributes declare, else the code's content if that is a plain placeholder.

    Empty if neither is a placeholder.
    """
    for name in names:
        said = element.get(name)
        if said.startswith("base64:"):  # MateCat
            try:
                said = base64.b64decode(said[7:], validate=True).decode()
            except ValueError:
                continue
        if is_placeholder(said):
            return said
    inside = "".join(each for each in element.children if isinstance(each, str))
    return inside if element.name == "ph" and is_plain(inside) else ""


class Parts:
    """Collects the pieces of a tree by position, and yields them with the text between them."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._found: list[tuple[int, int, Piece]] = []  # position, length, piece

    def add(self, place: int, piece: Piece) -> None:
        """Add a piece that begins at the byte offset `place` of the source."""
        raw = piece if isinstance(piece, str) else piece.raw
        self._found.append((place, len(raw.encode()), piece))

    def pieces(self) -> Iterator[Piece]:
        """Yield everything in document order; pieces at the same position keep the order in which they were added."""
        end = 0
        for place, length, piece in sorted(self._found, key=lambda each: each[0]):
            if place > end:
                yield self._tree.cut(end, place)
            yield piece
            end = max(end, place + length)
        yield self._tree.cut(end, self._tree.root.end)
