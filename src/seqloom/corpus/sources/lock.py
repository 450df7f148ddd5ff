"""data/sources.lock.json: the SHA-256 of files that params.yaml does not pin, recorded when they are first fetched.

The file is tracked by Git, so a team reviews it and fetches the same bytes. It also records what was looked up once:
the list of a data set's files, or the address of a data set of mtdata. Its keys are public addresses, never those of a
mirror. DVC does not track it: a pin in params.yaml takes precedence and is how new content is accepted.
"""

import json
import threading
from pathlib import Path
from typing import Any

from seqloom.errors import SourceError
from seqloom.files import write_text

_FILES, _LOOKED_UP = "files", "looked_up"


class SourceLock:
    """The records of the lock file. Methods may be called by several threads."""

    def __init__(self, file: Path) -> None:
        """Read the file, if it exists. Raises `SourceError` if it is not a valid lock file."""
        self.file = file
        self._guard = threading.Lock()
        self._records: dict[str, dict[str, Any]] = {_FILES: {}, _LOOKED_UP: {}}
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return
        except (ValueError, RecursionError) as error:
            raise SourceError(f"{file}: not JSON ({error}); restore it with Git") from error
        for section, records in self._records.items():
            found = content.get(section, {}) if isinstance(content, dict) else None
            if not isinstance(found, dict):
                raise SourceError(f"{file}: {section!r} is not a record; restore the file with Git")
            records.update(found)

    def sha256_of(self, address: str) -> str | None:
        """Return the recorded SHA-256 of the file at an address, or None if it was never fetched."""
        entry = self._records[_FILES].get(address)
        sha256 = entry.get("sha256") if isinstance(entry, dict) else None
        return sha256 if isinstance(sha256, str) else None

    def record_file(self, address: str, sha256: str, size: int) -> None:
        """Record a file, and write the lock file."""
        self._put(_FILES, address, {"bytes": size, "sha256": sha256})

    def looked_up(self, name: str) -> Any:
        """Return what was looked up under a name, or None."""
        return self._records[_LOOKED_UP].get(name)

    def record_lookup(self, name: str, answer: Any) -> None:
        """Record what was looked up, and write the lock file."""
        self._put(_LOOKED_UP, name, answer)

    def _put(self, section: str, key: str, entry: Any) -> None:
        with self._guard:
            self._records[section][key] = entry
            text = json.dumps(self._records, indent=2, sort_keys=True, ensure_ascii=False)
            write_text(self.file, text + "\n")
