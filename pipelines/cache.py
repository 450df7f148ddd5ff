"""Look for objects of DVC's cache that are not what their name says, and take them out.

DVC names an object by its hash, makes it read-only, and believes it from then on: a broken one would be checked out as
a result. Without it DVC fetches or makes the result again.
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dvc.repo import Repo

from pipelines.dag import default_remote
from pipelines.environment import environment

_FOLDER = ".dir"


def mend(root: Path) -> list[str]:
    """Remove what is broken, get it back from a remote or from what lies in the workspace; return what was broken.

    What neither has is made again by whoever runs the stages next.
    """
    broken = list(_broken(root))
    if broken:
        for path in [*broken, *_folders_with(broken)]:
            path.chmod(0o644)
            path.unlink()
        if default_remote(root) is not None:
            _dvc(root, "fetch")
        if missing := _only_missing(root):
            _dvc(root, "commit", "--force", *missing)
    return ["".join(path.parts[-2:]) for path in broken]


def _broken(root: Path) -> Iterator[Path]:
    with Repo(str(root)) as repo:
        cache = Path(repo.cache.local.path)
    for path in sorted(cache.glob("[0-9a-f][0-9a-f]/*")):
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "md5").hexdigest()
        if path.parent.name + path.name.removesuffix(_FOLDER) != found and not path.name.endswith(".tmp"):
            yield path


def _folders_with(broken: Sequence[Path]) -> list[Path]:
    """The lists of folders that name what is broken: without its list, DVC sees that a folder is not whole."""
    names = {path.parent.name + path.name for path in broken}
    lists = [path for path in broken[0].parent.parent.glob(f"[0-9a-f][0-9a-f]/*{_FOLDER}") if path not in broken]
    return [path for path in lists if any(entry["md5"] in names for entry in json.loads(path.read_bytes()))]


def _only_missing(root: Path) -> list[str]:
    """Stages of which DVC finds no fault but that the cache lacks what lies in the workspace, just as it was recorded.

    DVC says so of an output that the cache lacks whatever lies in the workspace: that is compared here.
    """
    with Repo(str(root)) as repo:
        missing = {name.rpartition(":")[2] for name, faults in repo.status().items() if all(map(_is_missing, faults))}
        return [stage.name for stage in repo.index.stages if stage.name in missing and all(map(_is_whole, stage.outs))]


def _is_whole(out: Any) -> bool:
    return bool(out.exists and not out.changed_checksum())


def _is_missing(fault: object) -> bool:
    if not isinstance(fault, dict) or fault.keys() != {"changed outs"}:
        return False
    return set(fault["changed outs"].values()) == {"not in cache"}


def _dvc(root: Path, *words: str) -> None:
    # What it could not do shows in what DVC finds changed afterwards.
    subprocess.run(
        [sys.executable, "-m", "dvc", *words], cwd=root, env=environment(root), stdin=subprocess.DEVNULL,
        capture_output=True, check=False,
    )  # fmt: skip
