"""The format `json_catalogue`: a JSON file per language, nested objects, aligned by the path of keys to a text."""

import json
from collections.abc import Iterator
from typing import Any

from seqloom.corpus.formats.raw import RawPair
from seqloom.corpus.members import Members
from seqloom.errors import FormatError
from seqloom.languages import Direction


def read_json_catalogue(members: Members, pattern: str, direction: Direction) -> Iterator[RawPair]:
    """Yield the pairs of every group that has a file for both languages, in the order of the source file.

    A group without one of them, or a key without translation, is normal. Only texts are read, at any depth of objects
    and lists.

    Raises:
        FormatError: a file is not JSON, or no group has both direction.
    """
    sources, targets = members.sides(pattern, direction.source), members.sides(pattern, direction.target)
    both = [key for key in sources if key in targets]
    if not both:
        found = f"{len(sources):,} for {direction.source!r} and {len(targets):,} for {direction.target!r}"
        raise FormatError(f"{members.place}: no catalogue has both languages: {pattern!r} matches {found}")
    for key in both:
        translated = dict(_texts(_load(members, targets[key].name)))
        for path, source in _texts(_load(members, sources[key].name)):
            if path in translated:
                yield RawPair(source, translated[path], sources[key].group)


def _load(members: Members, name: str) -> Any:
    try:
        return json.loads(members.read(name))
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise FormatError(f"{members.place}: {name}: {where}: not JSON: {error.msg}") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"{members.place}: {name}: not JSON: {error}") from error


def _texts(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every text below a node, with the keys and positions that lead to it."""
    if isinstance(node, str):
        yield path, node
    elif isinstance(node, dict):
        for key, child in node.items():
            yield from _texts(child, (*path, key))
    elif isinstance(node, list):
        for position, child in enumerate(node):
            yield from _texts(child, (*path, position))
