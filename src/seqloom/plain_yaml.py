"""Read YAML as plain data, with limits on size, depth and kinds of value.

Numbers follow YAML 1.2: `3e-4` is a number. Values that YAML 1.1 and 1.2 read differently (`40:00`, `010`), dates,
tags, control characters and keys that are not strings are errors that name the line. Each use of an alias counts
towards the limit, so a few lines cannot expand to millions of values.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from seqloom.errors import ParamsError
from seqloom.printable import is_control

LARGEST = 1 << 19  # bytes; params.yaml has 10,000
_MOST_NODES, _DEEPEST = 20_000, 32
_LARGEST_NUMBER = 2**63
_LONGEST_NUMBER = 64  # characters
_TAG = "tag:yaml.org,2002:"
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_OCTAL = re.compile(r"[-+]?0[0-9_]+")


class Document(NamedTuple):
    """A document as plain data, and the YAML nodes it was built from, which carry line numbers."""

    tree: yaml.Node | None
    content: Any


def read_text(path: Path) -> str:
    """Return the text of a file.

    Raises:
        OSError: the file cannot be read.
        ParamsError: the file is too large or not UTF-8.
    """
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise _too_large(str(path))
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ParamsError(f"{path}: line {line}: cannot be read: not UTF-8 (0x{content[error.start]:02x})") from error


def read(text: str, name: str) -> Document:
    """Read a document; errors refer to it as `name`.

    Raises:
        ParamsError: the document is not valid YAML, or holds something this module does not allow.
    """
    if len(text) > LARGEST:
        raise _too_large(name)
    try:
        loader = _Loader(text)
        try:
            tree = loader.get_single_node()
            return Document(tree, None if tree is None else loader.construct_document(tree))
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = _line(error.problem_mark.line if error.problem_mark else 0, text)
        raise ParamsError(f"{name}: {line}not valid YAML: {error.problem}") from error
    except yaml.reader.ReaderError as error:
        line, wrong = _line(text.count("\n", 0, error.position), text), _character(error.character)
        raise ParamsError(f"{name}: {line}not valid YAML: {wrong} is not allowed") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # such as "\U00110000", which is not a character
        raise ParamsError(f"{name}: not valid YAML: {' '.join(str(error).split())[:200]}") from error


def _too_large(name: str) -> ParamsError:
    return ParamsError(f"{name}: is larger than the limit of {LARGEST:,} bytes")


def _line(number: int, text: str) -> str:
    """Return `line N: ` for a line number counted from 0; nothing if the text is a single line."""
    return f"line {number + 1}: " if "\n" in text else ""


class _Loader(yaml.SafeLoader):
    """A SafeLoader with the limits described at the top of this module."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._nodes = self._depth = 0
        self._weights: dict[str, int] = {}  # number of nodes below each anchor, with aliases expanded

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        parser: Any = self  # PyYAML's stubs leave these methods untyped
        event: Any = parser.peek_event()
        if parser.check_event(yaml.AliasEvent):
            weight = self._weights.get(event.anchor)
            if weight is None and event.anchor in self.anchors:
                raise _refused(f"the alias *{event.anchor} is inside its own anchor", event.start_mark)
            self._count(weight or 0, event.start_mark)
            return super().compose_node(parent, index)
        if getattr(event, "tag", None) is not None:
            raise _refused(f"the tag {event.tag!r} is not allowed: write the value without it", event.start_mark)
        if self._depth >= _DEEPEST:
            raise _refused(f"values are nested more than {_DEEPEST} levels deep", event.start_mark)
        before = self._nodes
        self._count(1, event.start_mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(node, yaml.ScalarNode):
            self._check_scalar(node)
        elif isinstance(node, yaml.MappingNode):
            _check_keys(node)
        if event.anchor is not None:
            self._weights[event.anchor] = self._nodes - before
        return node

    def _count(self, nodes: int, mark: yaml.Mark) -> None:
        self._nodes += nodes
        if self._nodes > _MOST_NODES:
            raise _refused(f"there are more than {_MOST_NODES:,} values, counting each use of an alias", mark)

    def _check_scalar(self, node: yaml.ScalarNode) -> None:
        text = node.value
        if wrong := next((each for each in text if is_control(each)), None):
            raise _refused(f"{_character(ord(wrong))} is not allowed in a value", node.start_mark)
        if node.style is not None:
            return
        if _SEXAGESIMAL.fullmatch(text) or _OCTAL.fullmatch(text):
            message = f"YAML 1.1 and 1.2 read {text[:_LONGEST_NUMBER]} as different numbers: write it "
            raise _refused(message + "in decimal, or in quotes if it is text", node.start_mark)
        if node.tag == f"{_TAG}timestamp":
            raise _refused(
                f"{text[:_LONGEST_NUMBER]} is a date, but no setting is one: put it in quotes", node.start_mark
            )
        if node.tag == f"{_TAG}value":
            raise _refused("'=' has a special meaning in YAML: put it in quotes", node.start_mark)
        if node.tag in (f"{_TAG}int", f"{_TAG}float"):
            if len(text) > _LONGEST_NUMBER:
                raise _refused(f"a number of {len(text):,} characters is too long", node.start_mark)
            if node.tag == f"{_TAG}int" and abs(self.construct_yaml_int(node)) >= _LARGEST_NUMBER:
                raise _refused(f"{text} is too large a number", node.start_mark)


def _check_keys(node: yaml.MappingNode) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _refused("a key must be text, not a list or a mapping", key.start_mark)
        if key.tag not in (f"{_TAG}str", f"{_TAG}merge"):
            raise _refused(f"YAML does not read the key {key.value[:40]!r} as text: put it in quotes", key.start_mark)
        if key.value in seen:
            raise _refused(f"the key {key.value[:40]!r} is given twice", key.start_mark)
        seen.add(key.value)


def _refused(message: str, mark: yaml.Mark) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=message, problem_mark=mark)


def _character(code: int | str) -> str:
    number = code if isinstance(code, int) else ord(code)
    return f"the character U+{number:04X}"


_Loader.add_implicit_resolver(
    f"{_TAG}float",
    re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)
