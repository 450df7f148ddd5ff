"""Edit params.yaml the way a person would: comments, order and the spelling of everything else are kept.

An edit returns text only if the whole file would be valid; `replace` then writes the file in one step.
"""

import io
import json
from collections.abc import Collection, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from seqloom.errors import ParamsError
from seqloom.params import PARAMS_FILE, Params, parse_params, settings_in
from seqloom.plain_yaml import read

if TYPE_CHECKING:
    from ruamel.yaml import YAML

_NULL = "tag:yaml.org,2002:null"
# Sections in which names are chosen by the user, so any name can be added.
_OPEN = ("corpora", "monolingual", "translate_corpus")


class Change(NamedTuple):
    """A setting by its dotted name with its old and new value; None if it was absent before or is absent now."""

    name: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        if self.before == self.after:
            return f"{self.name}: {self.after} (unchanged)"
        return f"{self.name}: {self.before or '(none)'} -> {self.after or '(none)'}"


class Edited(NamedTuple):
    """The text of params.yaml after an edit, and the changes made."""

    text: str
    changes: list[Change]


def change(text: str, wanted: Mapping[str, Any], name: str = str(PARAMS_FILE)) -> Edited:
    """Return the params `text` with the `wanted` settings changed; their keys are dotted names.

    Raises:
        ParamsError: a name is not a setting, or the result is not valid; the message lists every fault.
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
        changes.append(Change(key, _before(record, key.split(".")), _shown(value)))
        put(record, last, _quoted(value))
    edited = dump(tree, round_trip)
    try:
        parse_params(edited, f"{name} after the change")
    except ParamsError as fault:
        faults.append(str(fault))
    if faults:
        raise ParamsError("\n".join(faults))
    return Edited(edited, changes)


def keep_corpora(text: str, names: Collection[str], name: str = str(PARAMS_FILE)) -> Edited:
    """Return the params `text` with only the named corpora.

    Raises:
        ParamsError: a name is not one of the corpora, or the result is not valid.
    """
    corpora = parse_params(text, name).corpora
    if unknown := [each for each in names if each not in corpora]:
        raise ParamsError(f"{name}: corpora has no {' and no '.join(unknown)}; valid are {', '.join(corpora)}")
    dropped = [each for each in corpora if each not in names]
    # Delete lines, not tree nodes: a node also owns the comments and the blank line after the corpus.
    lines, gone = text.splitlines(keepends=True), set[int]()
    for key, value in _section(text, "corpora"):
        if key.value in dropped:
            if lines[key.start_mark.line][: key.start_mark.column].strip():
                raise ParamsError(f"{name}: write each corpus on its own lines, so that one can be removed")
            gone.update(range(key.start_mark.line, _last_line(value) + 1))
    edited = "".join(line for number, line in enumerate(lines) if number not in gone)
    parse_params(edited, f"{name} after the change")
    return Edited(edited, [Change(f"corpora.{each}", corpora[each].kind, None) for each in dropped])


def put_corpora_first(text: str, corpora: Mapping[str, Mapping[str, Any]], name: str = str(PARAMS_FILE)) -> Edited:
    """Return the params `text` with more corpora before all others, so that their pairs are kept of duplicates.

    A corpus that is there is replaced where it stands.

    Raises:
        ParamsError: the text or the result is not valid; the message lists every fault.
    """
    parse_params(text, name)
    round_trip = editor()
    tree = load(text, name, round_trip)
    changes = []
    for place, (key, corpus) in enumerate(corpora.items()):
        changes.append(Change(f"corpora.{key}", _before(tree["corpora"], ["corpora", key]), _shown(corpus)))
        if key in tree["corpora"]:
            tree["corpora"][key] = dict(corpus)
        else:
            tree["corpora"].insert(place, key, dict(corpus))
    edited = dump(tree, round_trip)
    parse_params(edited, f"{name} after the change")
    return Edited(edited, changes)


def whole(params: Params) -> str:
    """Return params.yaml with every setting, including those that have their default."""
    return dump(_quoted(params.model_dump(mode="json", by_alias=True)), editor())


def put(record: MutableMapping[str, Any], name: str, value: Any) -> None:
    """Set a value in a record; a new one comes before the last, whose node owns the comments that follow the record."""
    if name in record or not record:
        record[name] = value
    else:
        record.insert(len(record) - 1, name, value)  # type: ignore[attr-defined]  # ruamel's mapping has an order


def parse_value(text: str, key: str) -> Any:
    """Parse a value as it would be written in params.yaml: `3e-4` is a number, `[de, fr]` a list.

    Raises:
        ParamsError: the text is not a YAML value.
    """
    spelled = load(text, f"the value of {key}", editor())
    plain = read(text, f"the value of {key}").content
    return spelled if spelled == plain else plain  # the two differ on `yes`: a word in YAML 1.2, true in 1.1


def editor() -> "YAML":
    """Return a YAML reader and writer that keeps comments and spelling."""
    from ruamel.yaml import YAML

    round_trip = YAML()
    round_trip.preserve_quotes = True
    round_trip.width = 10_000
    round_trip.representer.add_representer(type(None), lambda writer, _: writer.represent_scalar(_NULL, "null"))
    return round_trip


def load(text: str, name: str, round_trip: "YAML") -> Any:
    """Read YAML text. Raises `ParamsError` if it is not valid YAML or `plain_yaml` refuses it."""
    from ruamel.yaml.error import YAMLError

    read(text, name)
    try:
        return round_trip.load(text)
    except (YAMLError, ValueError) as error:
        raise ParamsError(f"{name}: not valid YAML: {' '.join(str(error).split())}") from error


def dump(tree: Any, round_trip: "YAML") -> str:
    """Return a tree as YAML text."""
    written = io.StringIO()
    round_trip.dump(tree, written)
    return written.getvalue()


def _quoted(value: Any) -> Any:
    """Quote strings that YAML would otherwise read as something else."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, list | dict):
        for key, each in enumerate(value) if isinstance(value, list) else value.items():
            value[key] = _quoted(each)
    elif isinstance(value, str):
        try:
            same = read(value, "a value").content == value
        except ParamsError:
            same = False
        return value if same else DoubleQuotedScalarString(value)
    return value


def _before(record: Mapping[str, Any], parts: list[str]) -> str | None:
    """Return the value of a setting in the file, or its default."""
    if parts[-1] in record:
        return _shown(record[parts[-1]])
    field = settings_in(*parts[:-1]).get(parts[-1])
    return None if field is None or field.is_required() else _shown(field.get_default(call_default_factory=True))


def _find(tree: Any, parts: list[str], name: str) -> tuple[MutableMapping[str, Any], str]:
    """Return the record that holds the setting, and the setting's name in it. Records with defaults only are added."""
    from ruamel.yaml.comments import CommentedMap

    record = tree
    for depth, part in enumerate(parts):
        above = ".".join(parts[:depth])
        if not isinstance(record, MutableMapping):
            raise ParamsError(f"{name}: {'.'.join(parts)} is not a setting: {above or 'the file'} is not a section")
        last = depth == len(parts) - 1
        known = settings_in(*parts[:depth])
        if part not in record and part not in known and not (last and parts[0] in _OPEN and depth):
            there = f"valid in {above} are" if above else "valid are"
            valid = ", ".join(map(str, known or record))
            raise ParamsError(f"{name}: {'.'.join(parts)} is not a setting; {there} {valid}")
        if last:
            return record, part
        if part not in record:
            put(record, part, CommentedMap())
        record = record[part]
    raise AssertionError(parts)


def _section(text: str, section: str) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    tree = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(tree, yaml.MappingNode)
    found = next(value for key, value in tree.value if key.value == section)
    assert isinstance(found, yaml.MappingNode)
    yield from found.value


def _last_line(node: yaml.Node) -> int:
    """Return the line on which a value ends. A block's own end mark is already at the start of the next item."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _last_line(last[1] if isinstance(last, tuple) else last)
    return node.end_mark.line


def _shown(value: Any) -> str:
    """Return a value as one line of text."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value, ensure_ascii=False, default=str)
