"""The lock that lets only one flow at a time run in a clone. A flow that takes it cleans up after a killed one.

This module does not import Prefect.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.errors import BusyError
from pipelines.supervision.processes import end_orphans
from seqloom.dvc_lock import DVC_LOCK, is_held
from seqloom.files import replacing
from seqloom.places import FLOW_LOCK


@contextmanager
def hold_clone(root: Path) -> Iterator[bool]:
    """Hold the clone for one flow, and yield whether the flow that held it before was killed.

    The kernel releases the lock when the process ends, however it ends.

    Raises:
        BusyError: another flow holds it.
    """
    path = root / FLOW_LOCK
    path.parent.mkdir(exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read() or "unknown"
            raise BusyError(f"another run (process {owner}) is running here; wait for it or stop it") from None
        file.seek(0)
        killed = bool(file.read())  # a flow that was not killed empties the file at its end
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        if ended := end_orphans(root):
            numbers = ", ".join(str(process.pid) for process in ended)
            print(f"ended what a killed flow left running: process {numbers}", flush=True)
        _drop_stale_locks(root / DVC_LOCK)
        try:
            yield killed
        finally:
            file.truncate(0)


def _drop_stale_locks(path: Path) -> None:
    """Remove stale entries from DVC's lock file, which would block for ever, and the file itself if it is truncated.

    DVC removes entries of processes that have ended, unless another process has the same number by now.
    """
    try:
        locks = json.loads(path.read_bytes())
        kept = {
            "write": {place: owner for place, owner in locks.get("write", {}).items() if is_held(owner)},
            "read": {place: [o for o in owners if is_held(o)] for place, owners in locks.get("read", {}).items()},
        }
    except FileNotFoundError:
        return
    except (ValueError, AttributeError, TypeError, KeyError):
        path.unlink()
        return
    if kept != {"write": locks.get("write", {}), "read": locks.get("read", {})}:
        with replacing(path) as beside:
            beside.write_text(json.dumps(kept), encoding="utf-8")
