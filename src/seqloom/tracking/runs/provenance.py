"""Where a model comes from: the git commit, DVC's hashes, the libraries, and a fingerprint over it all.

It reads files and asks git; it knows nothing of MLflow. What cannot be found out is left out: a missing git or dvc.lock
does not stop a registration.
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
    """The commit that is checked out, and whether what shapes a result differs from it."""

    sha: str
    dirty: bool


def current_commit(root: Path, shaping: Iterable[Path]) -> Commit | None:
    """The commit of the repository at `root`; `dirty` looks at the files and folders `shaping` alone.

    The stages themselves change metrics and dvc.lock; a commit is not "dirty" because of what it made.
    """
    sha = _git(root, "rev-parse", "HEAD")
    if sha is None:
        return None
    changes = _git(root, "status", "--porcelain", "--", *(str(path) for path in shaping))
    return Commit(sha, bool(changes))


def dvc_hashes(lock: Path, outputs: Iterable[Path]) -> dict[str, str]:
    """The hash that dvc.lock holds of each output, by its path; those that it does not know are left out."""
    try:
        stages = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"]
        known = {str(out["path"]): out for stage in stages.values() for out in stage.get("outs", [])}
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        return {}
    hashes = {str(path): known.get(str(path), {}).get("md5") for path in outputs}
    return {path: str(value) for path, value in hashes.items() if value}


def library_versions(libraries: Iterable[str]) -> dict[str, str]:
    """The installed version of each library; those that are not installed are left out."""
    found = {}
    for library in libraries:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def fingerprint(folder: Path, facts: Mapping[str, Any]) -> str:
    """SHA-256 over every file of `folder`, by name and content, and over `facts`, which must be plain data."""
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
