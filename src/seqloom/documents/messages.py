"""ICU messages: plurals and selections, translated as one whole sentence per branch.

`You have {n, plural, one {# file} other {# files}}.` is read as `{n, plural, one {You have # file.} other {You have #
files.}}`: no language can be translated in halves of sentences. Branches are never added or removed; a number takes
`other` if the target language has more forms.

Apostrophes quote as in ICU and, with doubled ones, in Java: `''` is an apostrophe, `'{'` a brace.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import NamedTuple

_ARGUMENT = re.compile(r"\{\s*(\w+)\s*(?:,\s*(\w+)\s*(,)?\s*)?")
_SELECTOR = re.compile(r"\s*(=[0-9]+|[A-Za-z_][\w-]*)\s*\{")
_OFFSET = re.compile(r"\s*offset:[0-9]+\s")
_STYLE = re.compile(r"[^{}']*\}")
_QUOTED = re.compile(r"'([{}#][^']*(?:''[^']*)*)(?:'|\Z)")
_SPECIAL = re.compile(r"'|[{}][{}']*")
_SPECIAL_IN_PLURAL = re.compile(r"'|[{}#][{}#']*")
_CLOSE = re.compile(r"\s*\}")
_NAME_ONLY = re.compile(r"\{\w+\}")
_CHOICES = ("plural", "select", "selectordinal")
_MOST_TEXTS = 40  # branches, counting all combinations of nested ones
_MOST_NESTED = 8


class MessageError(ValueError):
    """A message cannot be read, or not be written with these translations."""


class _Argument(NamedTuple):
    """`{name}`, or with a type and style, as written."""

    raw: str


class _Number(NamedTuple):
    """`#`: the number of the plural with this argument."""

    name: str
    offset: bool


@dataclass(frozen=True)
class _Choice:
    head: str  # as written, up to the first branch
    name: str
    plural: bool
    branches: tuple[tuple[str, "tuple[_Node, ...]"], ...]  # with the selector as written

    def with_inner(self, inner: Iterable["tuple[_Node, ...]"]) -> "_Choice":
        """Return the choice with other texts in its branches."""
        return replace(self, branches=tuple(zip((name for name, _ in self.branches), inner, strict=True)))


_Node = str | _Argument | _Number | _Choice
_Nodes = tuple[_Node, ...]
_Names = dict[_Node, str]


class Message:
    """A parsed message. `texts` has a sentence per branch, with a placeholder such as `{name}` for each argument."""

    def __init__(self, nodes: _Nodes) -> None:
        if _count(nodes) > _MOST_TEXTS:
            raise MessageError(f"more than {_MOST_TEXTS} combinations of branches")
        self._tree = _spread(nodes, None)
        self._leaves = list(_leaves(self._tree))
        self._names = [_named(leaf) for leaf in self._leaves]
        self.texts = [
            "".join(node if isinstance(node, str) else names[node] for node in leaf)
            for leaf, names in zip(self._leaves, self._names, strict=True)
        ]

    def written(self, translations: Sequence[str]) -> str:
        """Return the message with a translation for each of `texts`. Raises `MessageError` if one cannot be used."""
        parts = zip(translations, self._leaves, self._names, strict=True)
        wanted = _replaced(self._tree, iter([_read_leaf(*part) for part in parts]))
        text = _as_text(wanted, in_plural=False)
        if _spread(_parse(text), None) != wanted:
            raise MessageError("the translation cannot be written")
        return text


def parse_message(text: str) -> Message:
    """Read a message. Raises `MessageError` if its syntax is invalid, or if it has too many branches."""
    return Message(_parse(text))


def _parse(text: str) -> _Nodes:
    nodes, end = _Parser(text).nodes(0, None, 0)
    if end < len(text):
        raise MessageError("a } without {")
    return nodes


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text

    def nodes(self, place: int, number: _Number | None, depth: int) -> tuple[_Nodes, int]:
        """Read until the end or an unmatched `}`; return its position."""
        text, found, literal = self._text, list[_Node](), list[str]()

        def close() -> None:
            if literal:
                found.append("".join(literal))
                literal.clear()

        while place < len(text) and text[place] != "}":
            if text[place] == "{":
                close()
                node, place = self._argument(place, number, depth)
                found.append(node)
                continue
            if text[place] == "#" and number is not None:
                close()
                found.append(number)
            elif text.startswith("''", place):
                literal.append("'")
                place += 1
            elif (quoted := _QUOTED.match(text, place)) and (number is not None or quoted[1][0] in "{}"):
                literal.append(quoted[1].replace("''", "'"))
                place = quoted.end()
                continue
            else:
                literal.append(text[place])
            place += 1
        close()
        return tuple(found), place

    def _argument(self, place: int, number: _Number | None, depth: int) -> tuple[_Argument | _Choice, int]:
        begin = _ARGUMENT.match(self._text, place)
        if begin is None or depth > _MOST_NESTED:
            raise MessageError("a { without an argument")
        if begin[2] in _CHOICES and begin[3]:
            return self._choice(begin, number, depth)
        end = _STYLE.match(self._text, begin.end()) if begin[3] else None
        stop = end.end() if end else begin.end() + 1
        if begin[2] == "choice" or (end is None and self._text[begin.end() : stop] != "}"):
            raise MessageError("an argument of unknown form")
        return _Argument(self._text[place:stop]), stop

    def _choice(self, begin: "re.Match[str]", outer: _Number | None, depth: int) -> tuple[_Choice, int]:
        place, plural = begin.end(), begin[2] != "select"
        offset = _OFFSET.match(self._text, place) if plural else None
        place = offset.end() if offset else place
        head = self._text[begin.start() : place].rstrip()
        number = _Number(begin[1], offset is not None) if plural else outer
        branches = []
        while selector := _SELECTOR.match(self._text, place):
            nodes, end = self.nodes(selector.end(), number, depth + 1)
            if self._text[end : end + 1] != "}":
                raise MessageError("a branch is not closed")
            branches.append((selector[1], nodes))
            place = end + 1
        close = _CLOSE.match(self._text, place)
        if close is None or "other" not in [selector for selector, _ in branches]:
            raise MessageError("a choice is not closed, or has no branch other")
        return _Choice(head, begin[1], plural, tuple(branches)), close.end()


def _count(nodes: _Nodes) -> int:
    """How many combinations of branches there are, or a number above the limit."""
    product = 1
    for node in nodes:
        if isinstance(node, _Choice) and product <= _MOST_TEXTS:
            product *= sum(_count(inner) for _, inner in node.branches)
    return product


def _spread(nodes: _Nodes, number: str | None) -> _Nodes:
    """The message with the text around a choice moved into its branches, so that each leaf is a whole sentence.

    `number` is the argument of the plural around the nodes.
    """
    at = next((at for at, node in enumerate(nodes) if isinstance(node, _Choice)), None)
    choice = None if at is None else nodes[at]
    if at is None or not isinstance(choice, _Choice):
        return _leaf(nodes, number)
    own = choice.name if choice.plural else number
    return (choice.with_inner(_spread((*nodes[:at], *inner, *nodes[at + 1 :]), own) for _, inner in choice.branches),)


def _leaf(nodes: Iterable[_Node], number: str | None) -> _Nodes:
    """Join adjacent texts; write the `#` of an outer plural as an argument."""
    found: list[_Node] = []
    for node in nodes:
        if isinstance(node, _Number) and node.name != number:
            if node.offset:
                raise MessageError("# of an outer plural with an offset")
            node = _Argument(f"{{{node.name}, number}}")
        if isinstance(node, str) and found and isinstance(found[-1], str):
            found[-1] += node
        else:
            found.append(node)
    return tuple(found)


def _leaves(tree: _Nodes) -> Iterator[_Nodes]:
    if len(tree) == 1 and isinstance(tree[0], _Choice):
        for _, inner in tree[0].branches:
            yield from _leaves(inner)
    else:
        yield tree


def _replaced(tree: _Nodes, leaves: Iterator[_Nodes]) -> _Nodes:
    if len(tree) == 1 and isinstance(tree[0], _Choice):
        return (tree[0].with_inner([_replaced(inner, leaves) for _, inner in tree[0].branches]),)
    return next(leaves)


def _named(leaf: _Nodes) -> _Names:
    """Return a placeholder for each argument: the argument itself if it is `{name}`, else a new one."""
    if any(isinstance(node, str) and ("{" in node or "}" in node) for node in leaf):
        raise MessageError("quoted braces")
    names: _Names = {node: node.raw for node in leaf if isinstance(node, _Argument) and _NAME_ONLY.fullmatch(node.raw)}
    for node in leaf:
        if not isinstance(node, str) and node not in names:
            free = (f"{{n{number}}}" for number in count(1))
            names[node] = next(name for name in free if name not in names.values())
    return names


def _read_leaf(translation: str, leaf: _Nodes, names: _Names) -> _Nodes:
    """The translation with its placeholders as arguments. Raises `MessageError` if they are not those of the leaf."""
    nodes = {name: node for node, name in names.items()}
    parts = re.split(f"({'|'.join(map(re.escape, nodes))})", translation) if nodes else [translation]
    found = [nodes[part] if at % 2 else part for at, part in enumerate(parts) if part]
    arguments, wanted = (Counter(node for node in each if not isinstance(node, str)) for each in (found, leaf))
    if arguments != wanted:
        raise MessageError("an argument is missing, or comes too often")
    return _leaf(found, next((node.name for node in leaf if isinstance(node, _Number)), None))


def _as_text(nodes: _Nodes, *, in_plural: bool) -> str:
    special = _SPECIAL_IN_PLURAL if in_plural else _SPECIAL
    written = []
    for node in nodes:
        match node:
            case str():
                written.append(special.sub(_quoted, node))
            case _Argument(raw):
                written.append(raw)
            case _Number():
                written.append("#")
            case _Choice(head, _, plural, branches):
                inner = plural or in_plural
                texts = (f"{selector} {{{_as_text(each, in_plural=inner)}}}" for selector, each in branches)
                written.append(f"{head} {' '.join(texts)}}}")
    return "".join(written)


def _quoted(special: re.Match[str]) -> str:
    doubled = special[0].replace("'", "''")
    return doubled if special[0] == "'" else f"'{doubled}'"
