"""Results of update checks, and a cache of earlier responses."""

import json
from pathlib import Path
from typing import Any, NamedTuple


class SourceStatus(NamedTuple):
    """The result of checking one source.

    `known` is pinned in params.yaml or was last fetched; `found` is available: a version, commit or hash. `pins` are
    the corpus settings that would update to `found`.
    """

    corpus: str
    kind: str
    changed: bool
    known: str | None
    found: str | None
    why: str
    pins: dict[str, Any]

    def record(self) -> dict[str, Any]:
        """Return the result as a dict for JSON."""
        record = self._asdict()
        del record["pins"]
        return record


class ResponseCache:
    """A cache of earlier responses by name, in a file that may be deleted at any time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            content = {}
        self._entries: dict[str, dict[str, Any]] = content if isinstance(content, dict) else {}

    def get(self, name: str) -> dict[str, Any] | None:
        """Return the cached entry, or None."""
        entry = self._entries.get(name)
        return entry if isinstance(entry, dict) else None

    def put(self, name: str, entry: dict[str, Any]) -> None:
        """Store an entry and write the file."""
        self._entries[name] = entry
        self._file.parent.mkdir(parents=True, exist_ok=True)
        beside = self._file.with_name(f".{self._file.name}.part")
        beside.write_text(json.dumps(self._entries, indent=2) + "\n", encoding="utf-8")
        beside.replace(self._file)
