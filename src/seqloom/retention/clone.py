"""Hold a clone while its files are removed, so that no flow and no DVC command uses them."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seqloom.dvc_lock import DVC_LOCK, is_held
from seqloom.errors import LockedError
from seqloom.places import FLOW_LOCK

_WAY_ON = "wait for it or stop it; `seqloom gc --only versions` needs no files of this folder"


@contextmanager
def held_clone(root: Path) -> Iterator[None]:
    """Hold the lock of flows during the block; a flow that starts meanwhile ends as busy.

    Raises:
        LockedError: a flow is running in the clone, or a DVC command is.
    """
    path = root / FLOW_LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        file.seek(0)
        owner = file.read()
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError(f"a run (process {owner or 'unknown'}) is working in this folder; {_WAY_ON}") from None
        if busy := _dvc_commands(root / DVC_LOCK):
            raise LockedError(f"a DVC command (process {busy[0]}) is working in this folder; {_WAY_ON}")
        if not owner:  # else a flow was killed, and the next flow must see that
            file.write(str(os.getpid()))
            file.flush()
        try:
            yield
        finally:
            if not owner:
                file.truncate(0)


def is_locked(path: Path) -> bool:
    """Return whether another process holds the lock of a file; False if there is no such file."""
    try:
        with path.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _dvc_commands(path: Path) -> list[int]:
    """Return the numbers of living processes that DVC's lock file names."""
    try:
        locks = json.loads(path.read_bytes())
        owners = [*locks.get("write", {}).values(), *(each for some in locks.get("read", {}).values() for each in some)]
        return [int(owner["pid"]) for owner in owners if is_held(owner)]
    except (OSError, ValueError, AttributeError, TypeError, KeyError):
        return []
