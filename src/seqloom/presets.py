"""Presets: files with changed settings that are merged into params.yaml; its comments are kept.

A preset is a YAML file in `presets/` whose first comment describes it. Sections are merged setting by setting, except
`corpora` and the like, which are replaced: merging would train on the corpora of both. The result is validated before
it is written.
"""

from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any, NamedTuple

from seqloom.editing import dump, editor, load, put
from seqloom.errors import ParamsError
from seqloom.params import PARAMS_FILE, parse_params, settings_in
from seqloom.plain_yaml import read_text

FOLDER = Path("presets")
_REPLACED = ("corpora", "monolingual", "translate_corpus")


class Preset(NamedTuple):
    """A preset file: its name, its description and its text."""

    name: str
    purpose: str
    text: str


def presets(folder: Path = FOLDER) -> list[Preset]:
    """Return the presets in a folder, sorted by name; an empty list if the folder does not exist."""
    return [_read(path) for path in sorted(folder.glob("*.yaml"))]


def find(name: str, folder: Path = FOLDER) -> Preset:
    """Return the preset of that name.

    Raises:
        ParamsError: there is no such preset; the message lists the presets.
    """
    path = folder / f"{name}.yaml"
    if Path(name).name != name or not path.is_file():
        known = ", ".join(preset.name for preset in presets(folder)) or f"none, because there is no folder {folder}"
        raise ParamsError(f"there is no preset {name!r}; valid are {known}")
    return _read(path)


def merge(text: str, preset: Preset, name: str = str(PARAMS_FILE)) -> str:
    """Return the params `text` with a preset merged into it; comments are kept.

    Raises:
        ParamsError: the text or the result is not valid params; the message lists every fault.
    """
    round_trip = editor()
    tree, changes = load(text, name, round_trip), load(preset.text, f"preset {preset.name}", round_trip)
    faults: list[str] = []
    for read_from, record in ((name, tree), (f"preset {preset.name}", changes or {})):
        if not isinstance(record, Mapping):
            raise ParamsError(f"{read_from}: must be a mapping of sections, such as `train:`")
    for section, settings in (changes or {}).items():
        if section not in settings_in():
            faults.append(f"preset {preset.name}: {section!r} is not a section of {name}")
        elif isinstance(settings, Mapping) and isinstance(tree.get(section), Mapping) and section not in _REPLACED:
            faults += _merge(tree[section], settings, [section], f"preset {preset.name}: ")
        else:
            tree[section] = settings
    merged = dump(tree, round_trip)
    try:
        parse_params(merged, f"{name} with the preset {preset.name}")
    except ParamsError as fault:
        faults.append(str(fault))
    if faults:
        raise ParamsError("\n".join(faults))
    return merged


def _merge(into: MutableMapping[str, Any], changes: Mapping[str, Any], section: list[str], where: str) -> Iterator[str]:
    """Merge `changes` in place, and yield a message for each unknown setting."""
    for key, value in changes.items():
        parts = [*section, str(key)]
        valid = settings_in(*section)
        if key not in into and key not in valid:
            yield f"{where}{'.'.join(parts)} is not a setting of params.yaml; valid are {', '.join(valid)}"
        elif isinstance(value, Mapping) and isinstance(into.get(key), MutableMapping):
            yield from _merge(into[key], value, parts, where)
        else:
            put(into, key, value)


def _read(path: Path) -> Preset:
    text = read_text(path)
    first = text.partition("\n")[0]
    return Preset(path.stem, first.removeprefix("#").strip(), text)
