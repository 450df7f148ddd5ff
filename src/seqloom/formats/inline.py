"""Inline codes: the tags and native codes within a text, which a translation must keep.

Codes are shown as placeholders, identical in source and target: `<g1>` and `</g1>` around text, `<x2/>` standalone,
numbered from 1 in the order of the source. If the file declares a plain placeholder such as `{0}` or `%s` for a code,
that is shown instead. A placeholder that already occurs in the text itself is never used for a code.

`put_codes` turns placeholders back into codes. Codes missing from the translation are appended, surplus ones are
dropped, and overlapping tags are closed early, so the file stays valid whatever the translation contains.
"""

import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from seqloom.formats.xml import Element, Tree
from seqloom.text import PLACEHOLDER

_MOST_SPELLINGS = 50  # per text; further codes are numbered
_LONGEST_SPELLING = 100
_TAG = re.compile(r"<[A-Za-z][A-Za-z0-9]*>")
_NUMBERED = re.compile(r"</?[gx](\d{1,9})/?>")

Role = Literal["standalone", "open", "close", "paired", "transparent", "ignored"]
"""How an element is read: a standalone code, the opening or closing code of a pair, a pair of tags around text, text
without its tags, or not at all."""


class InlineRules(NamedTuple):
    """How a format writes inline codes."""

    role: Callable[[Element], Role]
    pair: Callable[[Element], str]  # an id shared by an opening code and its closing code
    keys: Callable[[Element], tuple[str, ...]]  # ids shared with the same code in the other language
    spelling: Callable[[Element], str]  # the placeholder that the file declares; empty if none


@dataclass(slots=True, eq=False)
class Code:
    """A standalone inline code, or one of a pair."""

    shape: Literal["open", "close", "standalone"]
    raw: str
    keys: tuple[str, ...] = ()
    spelling: str = ""
    nested: bool = False  # an XML tag, which must not overlap others
    partner: "Code | None" = None  # the other code of a pair
    label: str = ""  # the placeholder shown for it


Content = list[str | Code]


def read_content(tree: Tree, element: Element, rules: InlineRules) -> Content:
    """Return the texts and codes within an element, in order."""
    found: Content = []
    waiting: dict[str, list[Code]] = defaultdict(list)  # the last one opened is closed first, if a file repeats an id
    for part in _parts(tree, element, rules):
        if not isinstance(part, tuple):
            found.append(part)
            continue
        code, pair = part
        if code.shape == "open":
            waiting[pair].append(code)
        elif waiting[pair]:
            opening = waiting[pair].pop()
            code.partner, opening.partner = opening, code
        found.append(code)
    for each in found:
        if isinstance(each, Code) and each.partner is None:
            each.shape = "standalone"
    return found


def label(source: Content, target: Content | None = None) -> list[Code]:
    """Label every code with its placeholder, numbered in the order of the source.

    Return the target's codes that the source lacks.
    """
    namer = _Namer("".join(each for each in (*source, *(target or ())) if isinstance(each, str)))
    for code in codes(source):
        namer.name(code)
    if target is None:
        return []
    _match(codes(source), codes(target))
    further = [code for code in codes(target) if not code.label]
    for code in further:
        namer.name(code)
    return further


def codes(content: Content) -> list[Code]:
    """Return the standalone and the opening codes."""
    return [each for each in content if isinstance(each, Code) and each.shape != "close"]


def shown(content: Content) -> str:
    """Return the text with placeholders for codes."""
    return "".join(each if isinstance(each, str) else each.label for each in content)


def put_codes(translation: str, own: Sequence[Code], further: Sequence[Code], escape: Callable[[str], str]) -> str:
    """Return a translation in the file's syntax, with all `own` codes and those `further` codes that it contains.

    `escape` escapes the text between codes.
    """
    return _Composer(own, further).compose(translation, escape)


def is_plain(spelling: str) -> bool:
    """Return whether a code's content is one placeholder of a program, such as `{0}` or `%s`, rather than a tag."""
    return is_placeholder(spelling) and spelling[0] not in "<&"


def is_placeholder(spelling: str) -> bool:
    """Return whether the text is exactly one placeholder of any form, including tags."""
    return len(spelling) <= _LONGEST_SPELLING and PLACEHOLDER.fullmatch(spelling) is not None


def _parts(tree: Tree, element: Element, rules: InlineRules) -> Iterator[str | Code | tuple[Code, str]]:
    for child in element.children:
        if isinstance(child, str):
            yield child
            continue
        role = rules.role(child)
        keys = rules.keys(child)
        match role:
            case "standalone":
                yield Code("standalone", tree.cut(child.begin, child.end), keys, rules.spelling(child))
            case "open" | "close":
                yield Code(role, tree.cut(child.begin, child.end), keys), rules.pair(child)
            case "paired" if child.inner == child.end:  # an empty-element tag
                yield Code("standalone", tree.cut(child.begin, child.end), keys, rules.spelling(child))
            case "paired":
                spelling = rules.spelling(child)
                opening = Code("open", tree.cut(child.begin, child.inner), keys, spelling, nested=True)
                closing = Code("close", tree.cut(child.close, child.end), nested=True, partner=opening)
                opening.partner = closing
                yield opening
                yield from _parts(tree, child, rules)
                yield closing
            case "transparent":
                yield from _parts(tree, child, rules)
            case "ignored":
                pass


class _Namer:
    """Chooses placeholders that do not occur in the text itself."""

    def __init__(self, literal: str) -> None:
        self._literal = literal
        self._taken = set(_NUMBERED.findall(literal))
        self._next = 1
        self._free: dict[str, bool] = {}  # whether a spelling may be used

    def name(self, code: Code) -> None:
        wanted = code.spelling
        if code.partner is not None and not _TAG.fullmatch(wanted):
            wanted = ""
        closing = f"</{wanted[1:]}" if code.partner else ""
        if wanted and wanted not in self._free:
            used = wanted in self._literal or bool(closing and closing in self._literal)
            self._free[wanted] = not used and sum(self._free.values()) < _MOST_SPELLINGS
        if self._free.get(wanted):
            _set(code, wanted, closing)
            return
        while str(self._next) in self._taken:
            self._next += 1
        if code.partner is None:
            _set(code, f"<x{self._next}/>", "")
        else:
            _set(code, f"<g{self._next}>", f"</g{self._next}>")
        self._next += 1


def _set(code: Code, first: str, second: str) -> None:
    code.label = first
    if code.partner is not None:
        code.partner.label = second


def _match(source: list[Code], target: list[Code]) -> None:
    """Pair the target's codes with the source's: by their keys, else by their content, else by their order."""
    ways: tuple[Callable[[Code], tuple[str, ...]], ...] = (
        lambda code: code.keys,
        lambda code: (code.raw,),
        lambda code: (code.raw[:4],),  # the start of the tag: the same element
    )
    taken: set[int] = set()
    for way in ways:
        free: dict[tuple[str, str], deque[Code]] = defaultdict(deque)
        for code in source:
            if id(code) not in taken:
                for key in way(code):
                    free[code.shape, key].append(code)
        for code in target:
            if code.label:
                continue
            for key in way(code):
                queue = free[code.shape, key]
                while queue and id(queue[0]) in taken:
                    queue.popleft()
                if queue:
                    found = queue.popleft()
                    taken.add(id(found))
                    _set(code, found.label, found.partner.label if found.partner else "")
                    break


class _Composer:
    """State while writing one text."""

    def __init__(self, own: Sequence[Code], further: Sequence[Code]) -> None:
        self._own = own
        self._free: dict[str, deque[Code]] = defaultdict(deque)
        for code in (*own, *further):
            self._free[code.label].append(code)
        self._closings = {code.partner.label for code in (*own, *further) if code.partner}
        self._open: list[Code] = []  # opened, and not closed unless in `_done`
        self._by_closing: dict[str, list[Code]] = defaultdict(list)
        self._used: set[int] = set()
        self._done: set[int] = set()
        self._written: list[str] = []

    def compose(self, translation: str, escape: Callable[[str], str]) -> str:
        spelled = {each for each in (*self._free, *self._closings) if not _NUMBERED.fullmatch(each)}
        known = (_NUMBERED.pattern.replace("(", "(?:"), *map(re.escape, sorted(spelled, key=len, reverse=True)))
        for position, part in enumerate(re.split(f"({'|'.join(known)})", translation)):
            if position % 2 and (part in self._free or part in self._closings):
                self._code(part)
            else:
                self._written.append(escape(part))
        for code in reversed(self._open):
            self._close(code)
        for code in self._own:
            if id(code) not in self._used:
                self._written.append(code.raw)
                if code.partner is not None:
                    self._written.append(code.partner.raw)
        return "".join(self._written)

    def _code(self, found: str) -> None:
        if self._free.get(found):
            code = self._free[found].popleft()
            self._used.add(id(code))
            self._written.append(code.raw)
            if code.partner is not None:
                self._open.append(code)
                self._by_closing[code.partner.label].append(code)
            return
        waiting = self._by_closing[found]
        while waiting and id(waiting[-1]) in self._done:
            waiting.pop()
        if not waiting:
            return
        code = waiting.pop()
        if code.nested:
            kept = []
            while self._open[-1] is not code:
                inner = self._open.pop()
                if inner.nested:
                    self._close(inner)
                elif id(inner) not in self._done:
                    kept.append(inner)
            self._open.pop()
            self._open.extend(reversed(kept))
        self._close(code)

    def _close(self, code: Code) -> None:
        if id(code) not in self._done and code.partner is not None:
            self._done.add(id(code))
            self._written.append(code.partner.raw)
