"""Inline codes of marked-up text: the tags and native codes of a document, which a translation must keep.

A person reads a code as a placeholder, the same in source and target: `<g1>` and `</g1>` around text, `<x2/>` alone,
numbered from 1 by their order in the source. A code whose meaning the file states as a plain placeholder, such as `{0}`
or `%s`, is read as that. If a number or a spelling stands in the text as well, another number is taken.

`put_codes` turns placeholders into codes again. A code that the translation lacks is appended, a second one is dropped,
and tags that cross are closed early, so the file stays valid whatever the translation says.
"""

import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from seqloom.formats.xml import Element, Tree
from seqloom.text import PLACEHOLDER

_MOST_SPELLINGS = 50  # in one text; further codes get numbers
_LONGEST_SPELLING = 100
_TAG = re.compile(r"<[A-Za-z][A-Za-z0-9]*>")
_NUMBERED = re.compile(r"</?[gx](\d{1,9})/?>")

How = Literal["alone", "open", "close", "around", "through", "without"]
"""What an element in a text is: a code alone, the opening or closing one of two, a tag around text that is read, a tag
whose text is read as if there were no tag, or something that is no text."""


class Rules(NamedTuple):
    """How a format writes inline codes."""

    how: Callable[[Element], How]
    pair: Callable[[Element], str]  # what an opening and its closing code have in common
    keys: Callable[[Element], tuple[str, ...]]  # what a code has in common with the same one of the other language
    spelling: Callable[[Element], str]  # what the file says that a code stands for; empty if it does not


@dataclass(slots=True, eq=False)
class Code:
    """An inline code, or one of a pair."""

    shape: Literal["open", "close", "alone"]
    raw: str
    keys: tuple[str, ...] = ()
    spelling: str = ""
    nested: bool = False  # is a tag of XML, which must not cross others
    partner: "Code | None" = None  # of an opening code the closing one, and the other way round
    label: str = ""  # as a person reads it


Content = list[str | Code]


def read_content(tree: Tree, element: Element, rules: Rules) -> Content:
    """Return the texts and codes within an element."""
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
            each.shape = "alone"
    return found


def label(source: Content, target: Content | None = None) -> list[Code]:
    """Give every code its placeholder: those of the source by their order, those of the target as in the source.

    Return the codes of the target that the source lacks.
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
    """Return the codes alone and the opening ones of pairs."""
    return [each for each in content if isinstance(each, Code) and each.shape != "close"]


def shown(content: Content) -> str:
    """Return a text as a person reads it."""
    return "".join(each if isinstance(each, str) else each.label for each in content)


def put_codes(translation: str, own: Sequence[Code], further: Sequence[Code], escape: Callable[[str], str]) -> str:
    """Return a translation as the file has it: `own` codes are all in it, `further` ones if the translation has them.

    `escape` writes the text between codes.
    """
    return _Composer(own, further).compose(translation, escape)


def is_plain(spelling: str) -> bool:
    """Return whether a code's content is a placeholder of a program, such as `{0}` or `%s`, and no tag."""
    return is_placeholder(spelling) and spelling[0] not in "<&"


def is_placeholder(spelling: str) -> bool:
    """Return whether a text is one placeholder of any form, tags included."""
    return len(spelling) <= _LONGEST_SPELLING and PLACEHOLDER.fullmatch(spelling) is not None


def _parts(tree: Tree, element: Element, rules: Rules) -> Iterator[str | Code | tuple[Code, str]]:
    for child in element.children:
        if isinstance(child, str):
            yield child
            continue
        how = rules.how(child)
        keys = rules.keys(child)
        match how:
            case "alone":
                yield Code("alone", tree.cut(child.begin, child.end), keys, rules.spelling(child))
            case "open" | "close":
                yield Code(how, tree.cut(child.begin, child.end), keys), rules.pair(child)
            case "around" if child.inner == child.end:  # an empty tag
                yield Code("alone", tree.cut(child.begin, child.end), keys, rules.spelling(child))
            case "around":
                spelling = rules.spelling(child)
                opening = Code("open", tree.cut(child.begin, child.inner), keys, spelling, nested=True)
                closing = Code("close", tree.cut(child.close, child.end), nested=True, partner=opening)
                opening.partner = closing
                yield opening
                yield from _parts(tree, child, rules)
                yield closing
            case "through":
                yield from _parts(tree, child, rules)
            case "without":
                pass


class _Namer:
    """Finds placeholders that stand nowhere in the text itself."""

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
    """Find the target's codes in the source: by their keys, else by what they hold, else by their order."""
    ways: tuple[Callable[[Code], tuple[str, ...]], ...] = (
        lambda code: code.keys,
        lambda code: (code.raw,),
        lambda code: (code.raw[:4],),  # the same element
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
    """The state of writing one text."""

    def __init__(self, own: Sequence[Code], further: Sequence[Code]) -> None:
        self._own = own
        self._free: dict[str, deque[Code]] = defaultdict(deque)
        for code in (*own, *further):
            self._free[code.label].append(code)
        self._closings = {code.partner.label for code in (*own, *further) if code.partner}
        self._open: list[Code] = []  # opened and, unless in `_done`, not closed yet
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
