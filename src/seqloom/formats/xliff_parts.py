"""What all versions of XLIFF share: the context of a unit, and the writing of targets."""

import base64
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from seqloom.formats.inline import (
    Content,
    InlineRules,
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


class UnitContext(NamedTuple):
    """What the surrounding document determines about a unit."""

    key: str
    languages: tuple[str, str]
    document: str
    untranslatable: bool
    encoding: str
    wanted: str  # the target language to write if the file declares none
    by_machine: bool = False  # mark what is written as machine translation


@dataclass(frozen=True, slots=True)
class SegmentTexts:
    """The source and target of one segment, ready to become a unit."""

    source: Content
    target: Content | None
    write: Callable[[str], str]  # escapes a translation and puts its codes in

    def unit(self, context: UnitContext, raw: str, tags: tuple[str, str], line: int, flags: Sequence[Flag]) -> Unit:
        """Return the unit; its `put` writes the translation between the tags."""
        target = "" if self.target is None else shown(self.target)
        marked: tuple[Flag, ...] = ("untranslatable",) if context.untranslatable else ()
        return Unit(
            raw,
            context.key,
            shown(self.source),
            target if target.strip() else None,
            line,
            partial(_put_between, tags=tags, write=self.write),
            context.languages,
            context.document,
            tuple(dict.fromkeys((*marked, *flags))),
        )


def read_texts(tree: Tree, source: Element, target: Element | None, rules: InlineRules, encoding: str) -> SegmentTexts:
    """Read two elements, using the same placeholders on both sides."""
    left = read_content(tree, source, rules)
    right = None if target is None else read_content(tree, target, rules)
    further = label(left, right)
    write = partial(put_codes, own=codes(left), further=further, escape=partial(escape, encoding=encoding))
    return SegmentTexts(left, right, write)


def languages(context: UnitContext, source: Element, target: Element | None) -> tuple[str, str]:
    """Return the languages that the elements declare, else those of the file."""
    own = "" if target is None else target.get("xml:lang")
    return source.get("xml:lang") or context.languages[0], own or context.languages[1]


def new_target(
    tree: Tree, parent: Element, sibling: Element, source: Element, context: UnitContext, state: str | None
) -> tuple[str, str]:
    """Return the tags of a new target after `sibling`, indented like it, with the namespace prefix of the source."""
    name = re.split(r"[\s/>]", tree.cut(source.begin, source.inner)[1:], maxsplit=1)[0]
    name = name.removesuffix("source").removesuffix("seg-") + "target"
    tag = attribute(f"<{name}>", "state", state)
    if not context.languages[1]:
        tag = attribute(tag, "xml:lang", context.wanted)
    return _indent(tree, parent, sibling) + tag, f"</{name}>"


def _indent(tree: Tree, parent: Element, child: Element) -> str:
    """Return the white space before the child."""
    end = max((each.end for each in parent.elements() if each.end <= child.begin), default=parent.inner)
    before = tree.cut(end, child.begin)
    return before if before.isspace() else ""


def _put_between(translation: str, tags: tuple[str, str], write: Callable[[str], str]) -> str:
    return tags[0] + write(translation) + tags[1]


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
