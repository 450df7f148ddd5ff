"""Publish a result: push its data to DVC's remote, and commit its small files to Git.

Git and the remote themselves show what was published, so the next run completes a publication that failed or was
killed.

A commit goes to a separate branch or tag. It is built with Git's plumbing commands: `git commit` needs the working
folder and the index, which the user of the clone may be using, and a temporary worktree would stay behind after a kill.
`here` commits to the branch that is checked out, with `git commit`, and only these files.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from dvc.repo import Repo

from pipelines.dag import default_remote
from pipelines.environment import environment
from pipelines.errors import PublishError
from pipelines.supervision.logged_command import run_logged
from seqloom.files import sha256_of, write_text
from seqloom.places import LOGS, SCRATCH, SOURCES_LOCK

Commit = Literal["no", "branch", "tag", "here"]
BRANCH = "retrained"
PUSHED = SCRATCH / "pushed"  # the sha256 of the dvc.lock whose data the remote has
AUTHOR = {"name": "seqloom", "email": "seqloom@localhost"}  # if Git has no user configured


class Publication(NamedTuple):
    """What to publish, and where."""

    push: bool = False
    commit: Commit = "no"


def is_published(root: Path, wanted: Publication, version: str) -> bool:
    """Return whether everything in `wanted` has been published."""
    pushed = not wanted.push or default_remote(root) is None or _pushed(root)
    return pushed and (wanted.commit == "no" or _committed(root, wanted.commit, version))


def publish(root: Path, wanted: Publication, version: str, message: str) -> list[str]:
    """Push and commit what is not published yet, and return a line for each. If one fails, the other is still tried.

    Raises:
        PublishError: one failed; the message says what failed and what was done.
    """
    done: list[str] = []
    failed: list[str] = []
    for requested, act in ((wanted.push, _push), (wanted.commit != "no", _commit)):
        if requested:
            try:
                done.append(act(root, wanted, version, message))
            except (PublishError, OSError) as error:
                failed.append(str(error))
    if failed:
        raise PublishError("\n".join([*failed, *(f"done: {each}" for each in done)]))
    return done


def _push(root: Path, wanted: Publication, version: str, message: str) -> str:
    remote = default_remote(root)
    if remote is None:
        return "not pushed: DVC has no default remote (`dvc remote add --default NAME URL`)"
    if _pushed(root):
        return f"DVC's remote {remote} has the data already"
    lines: list[str] = []
    status = run_logged(
        [sys.executable, "-m", "dvc", "push", "--run-cache"],
        log=root / LOGS / "push.log", root=root, environment=environment(root), on_line=lines.append,
    )  # fmt: skip
    if status:
        last = lines[-1].removeprefix("ERROR: ") if lines else f"ended with {status}"
        raise PublishError(f"dvc push to {remote}: {last}")
    write_text(root / PUSHED, _lock(root))
    return f"pushed to DVC's remote {remote}"


def _pushed(root: Path) -> bool:
    path = root / PUSHED
    return path.exists() and path.read_text(encoding="utf-8") == _lock(root)


def _lock(root: Path) -> str:
    path = root / "dvc.lock"
    return sha256_of(path) if path.exists() else ""


def _commit(root: Path, wanted: Publication, version: str, message: str) -> str:
    if _committed(root, wanted.commit, version):
        return f"committed already ({_target(wanted.commit, version)})"
    if wanted.commit == "here":
        files = _result_files(root)
        _git(root, "add", "--", *files)
        _git(root, *_author(root), "commit", "--quiet", "--no-verify", "--message", message, "--only", "--", *files)
    else:
        target = _target(wanted.commit, version)
        head, tip = _git(root, "rev-parse", "HEAD"), _find(root, target)
        # The parents are the last result and, if it is not yet among the ancestors, HEAD.
        parents = [tip] if tip else []
        if not tip or not _is_ancestor(root, head, tip):
            parents.append(head)
        above = [word for parent in parents for word in ("-p", parent)]
        made = _git(root, *_author(root), "commit-tree", _tree(root), *above, "-m", message)
        # Fails if the ref has changed since: of two runs at once, one gets an error.
        _git(root, "update-ref", "-m", "seqloom: publish a result", target, made, tip or "0" * len(made))
    return f"committed ({_target(wanted.commit, version)})"


def _committed(root: Path, how: Commit, version: str) -> bool:
    if how == "here":
        return not _git(root, "status", "--porcelain", "--", *_result_files(root))
    tip = _find(root, _target(how, version))
    if tip is None:
        return False
    # Other files may have changed in HEAD; only a change in the results is a reason to commit.
    return not _git(root, "diff", "--name-only", tip, _tree(root), "--", *_result_files(root))


def _target(how: Commit, version: str) -> str:
    return {"branch": f"refs/heads/{BRANCH}", "tag": f"refs/tags/{version}"}.get(how, "HEAD")


def _tree(root: Path) -> str:
    """Return the tree of HEAD with the results of the working folder, made in a temporary index."""
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder, "index"))}
        _git(root, "read-tree", "HEAD", **index)
        _git(root, "add", "--", *_result_files(root), **index)
        return _git(root, "write-tree", **index)


def _result_files(root: Path) -> list[str]:
    """Return the files for Git: params.yaml, the two lock files, and the metrics and plots that DVC does not cache."""
    with Repo(str(root)) as repo:
        outs: list[Any] = [out for stage in repo.index.stages for out in stage.outs if not out.use_cache]
        small = [Path(out.fs_path).relative_to(root.resolve()).as_posix() for out in outs]
    return [
        name for name in ("params.yaml", "dvc.lock", SOURCES_LOCK.as_posix(), *sorted(small)) if (root / name).exists()
    ]


def _find(root: Path, target: str) -> str | None:
    found = _git(root, "for-each-ref", "--format=%(objectname)", target)
    return found or None


def _is_ancestor(root: Path, old: str, new: str) -> bool:
    return _git(root, "merge-base", old, new) == old


def _author(root: Path) -> list[str]:
    """Return the settings of an author if Git has none, as on a server."""
    known = subprocess.run(["git", "var", "GIT_COMMITTER_IDENT"], cwd=root, capture_output=True, check=False)
    return (
        []
        if known.returncode == 0
        else [word for key, value in AUTHOR.items() for word in ("-c", f"user.{key}={value}")]
    )


def _git(root: Path, *words: str, **environment_too: str) -> str:
    command: Sequence[str] = ["git", *words]
    done = subprocess.run(
        command, cwd=root, env={**os.environ, **environment_too}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        verb = next(word for word in words if not word.startswith("-") and "=" not in word)
        raise PublishError(f"git {verb}: {done.stderr.strip() or f'ended with {done.returncode}'}")
    return done.stdout.strip()
