"""Changes to params.yaml as a person would make them: comments, order and spelling of all else stay.

A text comes out only where the whole of it is valid; it takes the place of the file at once, or not at all.
"""

import io
import json
from collections.abc import Collection, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from seqloom.errors import ParamsError
from seqloom.params import PARAMS_FILE, parse_params
from seqloom.plain_yaml import read

if TYPE_CHECKING:
    from ruamel.yaml import YAML

_NULL = "tag:yaml.org,2002:null"
# Records here have settings that may be left out, and are themselves added by a person; elsewhere every one is there.
_OPEN = ("corpora",)


class Change(NamedTuple):
    """A setting by its dotted name, as it was and as it is; None is a setting that was not there, or is not now."""

    name: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        if self.before == self.after:
            return f"{self.name}: {self.after}, as before"
        return f"{self.name}: {self.before or '(none)'} -> {self.after or '(none)'}"


class Edited(NamedTuple):
    """The text of params.yaml after an edit, and what changed in it."""

    text: str
    changes: list[Change]


def change(text: str, wanted: Mapping[str, Any], name: str = str(PARAMS_FILE)) -> Edited:
    """Return params.yaml as `text` with settings, given by their dotted names, changed.

    Raises:
        ParamsError: a name is no setting, or the result is not valid; every fault is told.
    """
    round_trip = editor()
    tree = load(text, name, round_trip)
    changes, faults = [], []
    for key, value in wanted.items():
        try:
            record, last = _find(tree, key.split("."), name)
        except ParamsError as fault:
            faults.append(str(fault))
            continue
        changes.append(Change(key, _shown(record[last]) if last in record else None, _shown(value)))
        record[last] = _quoted(value)
    edited = dump(tree, round_trip)
    try:
        parse_params(edited, f"{name} as changed")
    except ParamsError as fault:
        faults.append(str(fault))
    if faults:
        raise ParamsError("\n".join(faults))
    return Edited(edited, changes)


def keep_corpora(text: str, names: Collection[str], name: str = str(PARAMS_FILE)) -> Edited:
    """Return params.yaml as `text` without the corpora that are not named.

    Raises:
        ParamsError: a name is none of the corpora, or the result is not valid.
    """
    corpora = parse_params(text, name).corpora
    if unknown := [each for each in names if each not in corpora]:
        raise ParamsError(f"{name}: corpora has no {' and no '.join(unknown)}; there are {', '.join(corpora)}")
    dropped = [each for each in corpora if each not in names]
    # As lines: a tree would take along the comments and the empty line that follow a corpus.
    lines, gone = text.splitlines(keepends=True), set[int]()
    for key, value in _section(text, "corpora"):
        if key.value in dropped:
            if lines[key.start_mark.line][: key.start_mark.column].strip():
                raise ParamsError(f"{name}: write each of corpora on lines of its own, so that one can be taken out")
            gone.update(range(key.start_mark.line, _last_line(value) + 1))
    edited = "".join(line for number, line in enumerate(lines) if number not in gone)
    parse_params(edited, f"{name} as changed")
    return Edited(edited, [Change(f"corpora.{each}", corpora[each].kind, None) for each in dropped])


def parse_value(text: str, key: str) -> Any:
    """Return a value as params.yaml would hold it: `3e-4` is a number, `[de, fr]` a list. Raises `ParamsError`."""
    spelled = load(text, f"the value of {key}", editor())
    plain = read(text, f"the value of {key}").content
    return spelled if spelled == plain else plain  # `yes` is a word to the one and true to the other


def editor() -> "YAML":
    """A reader and writer that keeps comments and spellings."""
    from ruamel.yaml import YAML

    round_trip = YAML()
    round_trip.preserve_quotes = True
    round_trip.width = 10_000
    round_trip.representer.add_representer(type(None), lambda writer, _: writer.represent_scalar(_NULL, "null"))
    return round_trip


def load(text: str, name: str, round_trip: "YAML") -> Any:
    """Read a text. Raises `ParamsError` if it is not YAML, or has something in it that `plain_yaml` refuses."""
    from ruamel.yaml.error import YAMLError

    read(text, name)
    try:
        return round_trip.load(text)
    except (YAMLError, ValueError) as error:
        raise ParamsError(f"{name}: not valid YAML: {' '.join(str(error).split())}") from error


def dump(tree: Any, round_trip: "YAML") -> str:
    """Write a tree as text."""
    written = io.StringIO()
    round_trip.dump(tree, written)
    return written.getvalue()


def _quoted(value: Any) -> Any:
    """A text in quotes where params.yaml would be read as something else without them."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, list):
        for position, each in enumerate(value):
            value[position] = _quoted(each)
    elif isinstance(value, str):
        try:
            same = read(value, "a value").content == value
        except ParamsError:
            same = False
        return value if same else DoubleQuotedScalarString(value)
    return value


def _find(tree: Any, parts: list[str], name: str) -> tuple[MutableMapping[str, Any], str]:
    """The record that a dotted name leads to, and the name in it."""
    record = tree
    for depth, part in enumerate(parts):
        above = ".".join(parts[:depth])
        if not isinstance(record, MutableMapping):
            raise ParamsError(f"{name}: {'.'.join(parts)} is not a setting: {above or 'the whole'} has none below it")
        last = depth == len(parts) - 1
        if part not in record and not (last and parts[0] in _OPEN and depth):
            there = f"{above} has" if above else "there are"
            raise ParamsError(f"{name}: {'.'.join(parts)} is not a setting; {there} {', '.join(map(str, record))}")
        if last:
            return record, part
        record = record[part]
    raise AssertionError(parts)


def _section(text: str, section: str) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    tree = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(tree, yaml.MappingNode)
    found = next(value for key, value in tree.value if key.value == section)
    assert isinstance(found, yaml.MappingNode)
    yield from found.value


def _last_line(node: yaml.Node) -> int:
    """The line on which a value ends; that of a block's end mark is where the next thing begins."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _last_line(last[1] if isinstance(last, tuple) else last)
    return node.end_mark.line


def _shown(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value, ensure_ascii=False, default=str)
