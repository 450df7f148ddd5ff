"""Remove objects from DVC's cache whose content does not match their hash.

DVC names an object by its hash, makes it read-only and does not check it again, so it would check out a broken object
as a result. If the object is missing instead, DVC fetches the result or runs the stage again.
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
    """Remove broken objects, restore them from the remote or the workspace, and return their hashes.

    If neither has an object, the next run of the stages makes it again.
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
    """Return the listings of folders that name a broken object: without its listing, DVC sees the folder as missing."""
    names = {path.parent.name + path.name for path in broken}
    lists = [path for path in broken[0].parent.parent.glob(f"[0-9a-f][0-9a-f]/*{_FOLDER}") if path not in broken]
    return [path for path in lists if any(entry["md5"] in names for entry in json.loads(path.read_bytes()))]


def _only_missing(root: Path) -> list[str]:
    """Return the stages whose only fault is that the cache lacks outputs, if the workspace has them as recorded.

    DVC reports a missing object whatever the workspace holds, so the workspace is compared here.
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
    # A failure shows in the stages that DVC finds changed afterwards.
    subprocess.run(
        [sys.executable, "-m", "dvc", *words], cwd=root, env=environment(root), stdin=subprocess.DEVNULL,
        capture_output=True, check=False,
    )  # fmt: skip
