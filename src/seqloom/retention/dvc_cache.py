"""Objects in DVC's cache that no commit, no workspace and no registered version needs, through `dvc gc`.

`dvc gc` knows commits, but not the registry, and by default no flow commits. So a temporary DVC project lists what the
registered versions need, and `--projects` makes `dvc gc` keep that too. Only the local cache is cleaned, never a
remote, which others use.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from seqloom import telemetry
from seqloom.errors import SeqloomError
from seqloom.files import write_text
from seqloom.retention.policy import Found, Removal

PLACE = "DVC cache"
_REMOVING = "Removing "
_NOBODY = ("-c", "user.name=seqloom", "-c", "user.email=seqloom@localhost")


def find_dvc_objects(root: Path, needed: Mapping[str, Sequence[str]], since: str | None) -> Found:
    """Return the objects in the cache of the clone at `root` that are not needed.

    Args:
        root: the clone.
        needed: the hashes of results that registered versions need, by any name.
        since: a date, yyyy-mm-dd: only commits from that day on count; None: all commits do.

    Raises:
        SeqloomError: DVC fails, or its cache is outside the clone, so that other clones may use it.
    """
    cache = _cache(root)
    with _project(cache, needed) as project:
        lines = _gc(root, project, since, "--dry").splitlines()
    paths = [Path(line.removeprefix(_REMOVING)) for line in lines if line.startswith(_REMOVING)]
    if not paths:
        return Found([], [])
    size = sum(path.lstat().st_size for path in paths if path.exists())

    def remove() -> None:
        with _project(cache, needed) as project:
            _gc(root, project, since, "--force")

    commits = "no commit" if since is None else f"no commit since {since}"
    why = f"in {commits}, not in the workspace, and needed by no registered version"
    return Found([Removal(PLACE, f"{len(paths):,} objects", why, size, remove)], [])


def _cache(root: Path) -> Path:
    found = Path(_run(root, "cache", "dir").strip())
    folder = (root / found).resolve()
    if not folder.is_relative_to(root.resolve()):
        raise SeqloomError(
            f"DVC's cache {folder} is outside this folder, and other clones may use it; clean it with `dvc gc "
            "--workspace --all-commits --projects FOLDER ...`, naming all of them"
        )
    return folder


@contextmanager
def _project(cache: Path, needed: Mapping[str, Sequence[str]]) -> Iterator[Path]:
    """Yield a temporary DVC project with the same cache, whose tracked files have the needed hashes."""
    with tempfile.TemporaryDirectory(prefix="seqloom-") as name:
        folder = Path(name)
        write_text(folder / ".dvc" / "config", f"[core]\n    analytics = false\n[cache]\n    dir = {cache}\n")
        for number, hashes in enumerate(needed.values()):
            outs = [{"md5": each, "hash": "md5", "path": f"out{row}"} for row, each in enumerate(hashes)]
            write_text(folder / str(number) / "version.dvc", yaml.safe_dump({"outs": outs}))
        for words in (["init", "--quiet"], [*_NOBODY, "commit", "--quiet", "--allow-empty", "--message", "none"]):
            subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)
        yield folder


def _gc(root: Path, project: Path, since: str | None, *more: str) -> str:
    scope = ["--all-commits"] if since is None else ["--date", since]
    return _run(root, "gc", "--workspace", *scope, "--projects", str(project), *more)


def _run(root: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words], cwd=root, env={**telemetry.OFF, **os.environ}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = lines[-1].removeprefix("ERROR: ") if lines else f"ended with status {done.returncode}"
        raise SeqloomError(f"dvc {words[0]}: {reason}")
    return done.stdout
