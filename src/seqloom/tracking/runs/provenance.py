"""Where a result comes from: the Git commit, DVC's hashes, library versions, and a fingerprint.

What cannot be determined is left out, so a registration succeeds without Git and without dvc.lock.
"""

import hashlib
import importlib.metadata
import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from seqloom.files import hashes_of

_GIT_PATIENCE = 10  # seconds


class Commit(NamedTuple):
    """The commit that is checked out, and whether files that affect results differ from it."""

    sha: str
    dirty: bool


def current_commit(root: Path, shaping: Iterable[Path]) -> Commit | None:
    """Return the commit of the repository at `root`, or None without Git.

    It is dirty only if one of the files and folders in `shaping` has changed; these are the ones that affect results.
    The stages themselves write metrics and dvc.lock, so those do not count.
    """
    sha = _git(root, "rev-parse", "HEAD")
    if sha is None:
        return None
    changes = _git(root, "status", "--porcelain", "--", *(str(path) for path in shaping))
    return Commit(sha, bool(changes))


def dvc_hashes(lock: Path, outputs: Iterable[Path]) -> dict[str, str]:
    """Return the hash of each output in dvc.lock, by path, without outputs that it does not list."""
    try:
        stages = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"]
        known = {str(out["path"]): out for stage in stages.values() for out in stage.get("outs", [])}
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        return {}
    hashes = {str(path): known.get(str(path), {}).get("md5") for path in outputs}
    return {path: str(value) for path, value in hashes.items() if value}


def library_versions(libraries: Iterable[str]) -> dict[str, str]:
    """Return the version of each library that is installed."""
    found = {}
    for library in libraries:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def fingerprint(folder: Path, facts: Mapping[str, Any]) -> str:
    """Return a SHA-256 of the names and contents of all files in `folder`, and of `facts`, which must be plain data."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, ensure_ascii=False).encode())
    for path, content in hashes_of(folder).items():
        digest.update(f"\n{path} {content}".encode())
    return digest.hexdigest()


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=_GIT_PATIENCE, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
