"""What a source answered, and what was learnt from earlier answers."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from seqloom.files import write_text


class News(NamedTuple):
    """The answer of one source.

    `known` is what params.yaml pins or the last fetch took, `found` what is there now: a version, a commit or a hash.
    `pins` are the settings of the corpus that would make what was found what is known.
    """

    corpus: str
    kind: str
    changed: bool
    known: str | None
    found: str | None
    why: str
    pins: dict[str, Any]


class Memory:
    """What earlier answers were, by a name: a cache in a file, which may be lost at any time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            content = {}
        self._entries: dict[str, dict[str, Any]] = content if isinstance(content, dict) else {}

    def recall(self, name: str) -> dict[str, Any] | None:
        """Return what was remembered, or None."""
        entry = self._entries.get(name)
        return entry if isinstance(entry, dict) else None

    def remember(self, name: str, entry: dict[str, Any]) -> None:
        """Keep an entry, in the file too."""
        self._entries[name] = entry
        write_text(self._file, json.dumps(self._entries, indent=2) + "\n")
