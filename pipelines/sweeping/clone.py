"""The folder in which a sweep trains: a copy of the clone as it was when the sweep began, with the same DVC cache.

The clone itself is not changed and can be used meanwhile; DVC can restore there what was trained in the copy. The copy
is made whole or not at all and never updated, so all trials of a sweep have the same code and corpus.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipelines.cli_client import all_settings
from pipelines.environment import environment
from pipelines.sweeping.space import SweepError
from seqloom.files import replacing
from seqloom.places import LOCAL

STUDY = "study.db"  # beside the copy
# Not copied if Git cannot list the files.
_LEFT_OUT = {".git", ".venv", ".prefect", "scratch", "mlartifacts", "__pycache__"}


def make_clone(root: Path, clone: Path) -> None:
    """Copy the files of `root` to `clone`, unless it exists.

    Raises:
        SweepError: the copy failed, or the clone of a sweep that has begun is missing.
    """
    if clone.exists():
        return
    if clone.with_name(STUDY).exists():
        raise SweepError(
            f"{clone}, in which the trials of this sweep trained, is missing; a new copy may have other code or data, "
            f"so its trials could not be compared with the old ones. Remove {clone.parent} to start again, or give "
            "the sweep another name"
        )
    beside = clone.with_name(f"{clone.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        for name in sorted({*_files(root)}):
            target = beside / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, target)
        _share_cache(root, beside)
    except OSError as error:
        raise SweepError(f"{error.filename or clone}: cannot be copied for the sweep: {error.strerror}") from error
    beside.rename(clone)


def base_params(clone: Path) -> Mapping[str, Any]:
    """Return every setting of the params.yaml with which the sweep began.

    It is kept beside the clone, because each trial changes its own. Raises `CommandError` if it is not valid.
    """
    kept = clone.with_name("params.yaml")
    if not kept.exists():
        with replacing(kept) as beside:
            shutil.copyfile(clone / "params.yaml", beside)
    return settings_of(kept.parent)


def settings_of(folder: Path) -> Mapping[str, Any]:
    """Return every setting of a folder's params.yaml, defaults included. Raises `CommandError` if it is not valid."""
    settings: Mapping[str, Any] = YAML(typ="safe", pure=True).load(all_settings(folder))
    return settings


def _files(root: Path) -> Iterator[Path]:
    """Yield the files in the folder that Git tracks or would track, and those of data/local, which it ignores."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=root, capture_output=True, check=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):  # a container image has neither Git nor a history
        listed = []
    if listed:
        yield from (Path(name) for name in listed if name and (root / name).is_file())
    else:
        yield from _walk(root, root)
    local = root / LOCAL
    yield from (path.relative_to(root) for path in local.rglob("*") if path.is_file())


def _walk(root: Path, folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name in _LEFT_OUT or path.name.startswith("mlflow.db"):
            continue
        if folder.name == ".dvc" and path.name in ("cache", "tmp", "config.local"):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _walk(root, path)
        elif path.is_file():
            yield path.relative_to(root)


def _share_cache(root: Path, clone: Path) -> None:
    """Let the copy use the clone's DVC cache and its local configuration of remotes."""
    own = root / ".dvc" / "config.local"
    if own.exists():
        shutil.copy2(own, clone / ".dvc" / "config.local")
    cache = root / (_dvc(root, "cache", "dir") or ".dvc/cache")
    _dvc(clone, "config", "--local", "core.no_scm", "true")
    inside = cache.is_relative_to(root)  # then a relative path, which stays valid if both are moved or copied
    _dvc(clone, "cache", "dir", "--local", os.path.relpath(cache, clone) if inside else str(cache))


def _dvc(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment(folder), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise SweepError(f"{folder}: dvc {' '.join(arguments)}: {done.stderr.strip().removeprefix('ERROR: ')}")
    return done.stdout.strip()
