"""Restores the metrics and plots of the last run if a stage fails, because DVC deletes them before it runs a stage.

dvc.lock still describes the last run then. The files come from DVC's cache, where DVC keeps them for its run cache, or
from the last commit. Folders can be large and are left to `dvc checkout`.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from seqloom.files import write_bytes

_LOCK = Path("dvc.lock")


def restore(stage: str) -> list[str]:
    """Restore the files of the stage's last run; return the folders that `dvc checkout` can restore.

    Does nothing outside `dvc repro` and `dvc exp run`, and in the worker processes of a distributed training.
    """
    if os.environ.get("DVC_STAGE") != stage or "LOCAL_RANK" in os.environ or not _LOCK.exists():
        return []
    stages = yaml.safe_load(_LOCK.read_text(encoding="utf-8"))["stages"]
    outs: list[dict[str, Any]] = stages.get(stage, {}).get("outs", [])
    lost = [out for out in outs if not _is_there(Path(out["path"]), out["md5"])]
    if not lost:
        return []
    cache = _cache()
    for out in lost:
        if not out["md5"].endswith(".dir"):
            _write(Path(out["path"]), out["md5"], cache)
    folders = [(out["path"], _object(cache, out["md5"])) for out in lost if out["md5"].endswith(".dir")]
    return [path for path, kept in folders if kept.exists()]


def _is_there(path: Path, md5: str) -> bool:
    if md5.endswith(".dir"):
        return path.is_dir()
    return path.is_file() and hashlib.md5(path.read_bytes()).hexdigest() == md5


def _write(path: Path, md5: str, cache: Path) -> None:
    kept = _object(cache, md5)
    content = kept.read_bytes() if kept.exists() else _output_of("git", "show", f"HEAD:./{path.as_posix()}")
    if hashlib.md5(content).hexdigest() != md5:
        return  # neither the cache nor the last commit has it
    write_bytes(path, content)


def _cache() -> Path:
    return Path(_output_of(sys.executable, "-m", "dvc", "cache", "dir").decode().strip() or ".dvc/cache")


def _object(cache: Path, md5: str) -> Path:
    return cache / "files" / "md5" / md5[:2] / md5[2:]


def _output_of(*command: str) -> bytes:
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).stdout
