"""One flow at a time per clone. Who comes next cleans up after a flow that was killed: its processes, DVC's locks."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.supervision.processes import end_leftovers


class BusyError(Exception):
    """Another flow is at work in this clone."""


@contextmanager
def alone(root: Path) -> Iterator[bool]:
    """Hold the clone for one flow, and yield whether the flow before it was killed. Raises `BusyError`.

    The lock goes with the process, however it ends.
    """
    path = root / "scratch" / "flow.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read() or "unknown"
            raise BusyError(f"another run (process {owner}) is at work here; wait for it or stop it") from None
        file.seek(0)
        killed = bool(file.read())  # whoever ends in good order leaves the file empty
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        if ended := end_leftovers(root):
            told = ", ".join(str(process.pid) for process in ended)
            print(f"ended what a killed flow left running: process {told}", flush=True)
        _drop_dead_locks(root / ".dvc" / "tmp" / "rwlock")
        try:
            yield killed
        finally:
            file.truncate(0)


def _drop_dead_locks(path: Path) -> None:
    """Take out of DVC's lock file what blocks for ever: a file that was cut off, and owners that are no DVC (any more).

    DVC itself removes the entries of processes that have ended, and not those whose number another process got since.
    """
    try:
        locks = json.loads(path.read_bytes())
        kept = {
            "write": {place: owner for place, owner in locks.get("write", {}).items() if _is_dvc(owner)},
            "read": {place: [o for o in owners if _is_dvc(o)] for place, owners in locks.get("read", {}).items()},
        }
    except FileNotFoundError:
        return
    except (ValueError, AttributeError, TypeError, KeyError):
        path.unlink()
        return
    if kept != {"write": locks.get("write", {}), "read": locks.get("read", {})}:
        beside = path.with_name(path.name + ".new")
        beside.write_text(json.dumps(kept), encoding="utf-8")
        beside.replace(path)


def _is_dvc(owner: dict[str, Any]) -> bool:
    try:
        command = Path(f"/proc/{owner['pid']}/cmdline").read_bytes()
    except OSError:
        return False
    return b"dvc" in command
