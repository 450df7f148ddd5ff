"""Update check for the user's own files: compares hashes with the pins, or with the last download.

The manifest of data/raw records the hashes of the last download. DVC itself detects changes in data/local, so files
there have no pins.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seqloom.corpus.source_settings import FilePlace
from seqloom.corpus.sources.file import paths_of
from seqloom.corpus.watching.status import SourceStatus
from seqloom.files import sha256_of


def check_file(corpus: str, source: FilePlace, languages: Sequence[str], manifest: Path) -> SourceStatus:
    """Check whether the files differ from their pins, or else from the last download_corpus.

    Raises:
        SourceError: a file is missing.
    """
    paths = paths_of(corpus, source, languages)
    if source.sha256 is not None:
        return _pinned(corpus, source, paths)
    now = dict(sorted(_hashes(paths.values()).items()))
    taken = _taken(corpus, manifest)
    if taken is None:
        return SourceStatus(corpus, "file", True, None, _digest(now), f"never downloaded: not in {manifest}", {})
    new, gone = len(now.keys() - taken.keys()), len(taken.keys() - now.keys())
    other = sum(now[name] != taken[name] for name in now.keys() & taken.keys())
    changes = [f"{n} {what}" for n, what in ((new, "new"), (other, "changed"), (gone, "gone")) if n]
    why = f"files since download_corpus: {', '.join(changes)}" if changes else "unchanged since download_corpus"
    return SourceStatus(corpus, "file", bool(changes), _digest(taken), _digest(now), why, {})


def _pinned(corpus: str, source: FilePlace, paths: Mapping[str | None, Path]) -> SourceStatus:
    hashes: dict[str, str] | str
    hashes = {language: sha256_of(path) for language, path in paths.items() if language and path.is_file()}
    if isinstance(source.sha256, str):
        (hashes,) = [sha256_of(path) for path in paths.values()]
    changed = hashes != source.sha256
    why = "sha256 differs from the pin" if changed else "sha256 matches the pin"
    pins: dict[str, Any] = {"sha256": hashes} if changed else {}
    return SourceStatus(corpus, "file", changed, _one(source.sha256), _one(hashes), why, pins)


def _one(pin: dict[str, str] | str | None) -> str | None:
    return _digest(pin) if isinstance(pin, dict) else pin


def _hashes(paths: Iterable[Path]) -> dict[str, str]:
    """The sha256 of each file, by its name after fetching."""
    found: dict[str, str] = {}
    for path in paths:
        if path.is_dir():
            found |= {each.relative_to(path).as_posix(): sha256_of(each) for each in path.rglob("*") if each.is_file()}
        else:
            found[path.name] = sha256_of(path)
    return found


def _taken(corpus: str, manifest: Path) -> dict[str, str] | None:
    try:
        files = json.loads(manifest.read_text(encoding="utf-8"))[corpus]["files"]
        return {entry["path"].removeprefix(f"{corpus}/"): entry["sha256"] for entry in files}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _digest(hashes: Mapping[str, str]) -> str:
    """A combined hash of the names and hashes of several files."""
    lines = "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(hashes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()
