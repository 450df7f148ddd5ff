"""Folders in scratch that can be made again: downloads, results of single shards, reproductions, and unfinished rests.

Their owners look for them by name and make them again if they are missing.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from seqloom.retention.policy import Found, Kept, Policy, Removal, age, days_since, last_change, size_of
from seqloom.retention.removing import interrupted, remove

DOWNLOADS, SHARDS, REPRODUCED = "downloads", "shards", "reproduced"
_DONE = "done.json"  # in every result of a shard, see sharding/step.py
_HASH = re.compile(r"\b[0-9a-f]{16,64}\b")
_PINNED = 16  # characters of a pin in the name of a download's folder
_SWEEPS = "sweeps"  # a sweep continues from its folder, however old


def find_downloads(scratch: Path, policy: Policy, params: str) -> Found:
    """Return the downloads that are older than the policy keeps and that no pin in params.yaml (`params`) names."""
    pins = {pin[:_PINNED] for pin in _HASH.findall(params)}
    # The folder of a Git repository is named by the hash of its address.
    pins |= {hashlib.sha256(word.strip("'\",").encode()).hexdigest()[:_PINNED] for word in params.split()}
    found = Found([], [])
    for path in _entries(scratch / "downloads"):
        days = days_since(last_change(path))
        names = {path.name, path.name.removeprefix("git-"), *_names(path)}
        if any(name[:_PINNED] in pins for name in names):
            found.kept.append(Kept(DOWNLOADS, path.name, "params.yaml pins it"))
        elif days < policy.days:
            found.kept.append(Kept(DOWNLOADS, path.name, f"last written {age(days)}"))
        else:
            why = f"no pin in params.yaml names it; last written {age(days)}"
            found.removals.append(Removal(DOWNLOADS, path.name, why, size_of(path), partial(remove, path)))
    return found


def find_shards(scratch: Path, policy: Policy) -> Found:
    """Return the folders of shard results that no stage has written to for longer than the policy keeps."""
    found = Found([], [])
    for folder in sorted({done.parents[1] for done in _results(scratch)}):
        name = folder.relative_to(scratch).as_posix()
        days = days_since(last_change(folder))
        if days < policy.days:
            found.kept.append(Kept(SHARDS, name, f"last written {age(days)}"))
        else:
            why = f"results of single shards; last written {age(days)}"
            found.removals.append(Removal(SHARDS, name, why, size_of(folder), partial(remove, folder)))
    return found


def find_reproduced(scratch: Path, policy: Policy) -> Found:
    """Return the folders of `seqloom reproduce` that are older than the policy keeps."""
    found = Found([], [])
    for path in _entries(scratch / "reproduced"):
        days = days_since(last_change(path))
        if days < policy.days:
            found.kept.append(Kept(REPRODUCED, path.name, f"last written {age(days)}"))
        else:
            why = f"a reproduced model; last written {age(days)}"
            found.removals.append(Removal(REPRODUCED, path.name, why, size_of(path), partial(remove, path)))
    return found


def find_interrupted(scratch: Path, folders: Iterable[str]) -> Found:
    """Return what earlier calls that were killed have renamed and not yet removed."""
    paths = [path for name in folders for path in interrupted(scratch / name)]
    return Found([Removal("rests", path.name, "an earlier gc was interrupted", size_of(path), partial(remove, path))
                  for path in paths], [])  # fmt: skip


def _entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".gc-")) if folder.is_dir() else []


def _names(path: Path) -> Iterator[str]:
    """Yield the names in a folder of downloads, such as the revisions of Hugging Face's cache."""
    return (each.name for each in path.rglob("*") if _HASH.fullmatch(each.name))


def _results(scratch: Path) -> Iterator[Path]:
    for done in scratch.rglob(_DONE):
        top = done.relative_to(scratch).parts[0]
        if top not in (_SWEEPS, "reproduced") and not top.startswith(".gc-"):
            yield done
