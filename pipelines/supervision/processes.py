"""Finds and ends orphans: processes that a killed flow left running.

Every process that a flow starts (DVC, a stage, Prefect's embedded server) has the clone and the flow's process in its
environment, which Linux shows in /proc. It is an orphan if that process has ended. A process is identified by its
number and its start in clock ticks since the machine's boot, so a number that is used again is not confused, and the
system clock is not read.
"""

import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pipelines.supervision.logged_command import GRACE, POLL

CLONE, OWNER = "SEQLOOM_FLOW", "SEQLOOM_FLOW_OWNER"


class Process(NamedTuple):
    """A process, distinct from a later one of the same number."""

    pid: int
    start: int  # clock ticks since boot

    def __str__(self) -> str:
        return f"{self.pid}:{self.start}"


def current_process() -> Process:
    """Return this process."""
    found = _process(os.getpid())
    assert found is not None
    return found


def parse(text: str) -> Process | None:
    """Return the process that `str` wrote as text; None for any other text."""
    pid, _, start = text.partition(":")
    return Process(int(pid), int(start)) if pid.isdigit() and start.isdigit() else None


def is_alive(process: Process) -> bool:
    """Return whether the process has not ended; a zombie has ended."""
    return _process(process.pid) == process


def process_marks(root: Path) -> dict[str, str]:
    """Return the environment variables that mark a child of this process."""
    return {CLONE: str(root.resolve()), OWNER: str(current_process())}


def mark_children(root: Path) -> None:
    """Mark every child of this process from now on, including those that Prefect starts."""
    os.environ.update(process_marks(root))


def find_orphans(root: Path) -> list[Process]:
    """Return the processes of `root` whose flow has ended."""
    clone = str(root.resolve())
    spared = set(_ancestors())  # this process may itself carry the mark of a schedule that was killed
    found = []
    for process, environment in _environments():
        if process.pid in spared or environment.get(CLONE) != clone:
            continue
        owner = parse(environment.get(OWNER, ""))
        if owner is None or not is_alive(owner):
            found.append(process)
    return found


def end_orphans(root: Path, grace: float | None = None) -> list[Process]:
    """Send SIGINT to every orphan, give it `grace` seconds for a checkpoint, then SIGKILL; return the orphans.

    An orphan may start further processes while it ends, as a shell does, so the search is repeated until it finds none.
    """
    ended: dict[Process, None] = {}
    end = time.monotonic() + (GRACE if grace is None else grace)
    while (found := find_orphans(root)) and time.monotonic() < end:
        _send([process for process in found if process not in ended], signal.SIGINT)
        ended |= dict.fromkeys(found)
        time.sleep(POLL)
    while found := find_orphans(root):
        _send(found, signal.SIGKILL)
        ended |= dict.fromkeys(found)
        time.sleep(POLL)
    return list(ended)


def _send(processes: Iterable[Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            # Checked once more: the number may belong to another process by now.
            if is_alive(process):
                os.kill(process.pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def _environments() -> Iterator[tuple[Process, dict[str, str]]]:
    """Yield every process whose environment this user may read, with the environment it was started with."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or (process := _process(int(folder.name))) is None:
            continue
        try:
            content = (folder / "environ").read_bytes()
        except OSError:
            continue
        pairs = (os.fsdecode(pair).partition("=") for pair in content.split(b"\0") if pair)
        yield process, {name: value for name, _, value in pairs}


def _ancestors() -> Iterator[int]:
    pid = os.getpid()
    while pid > 0:
        yield pid
        fields = _stat(pid)
        pid = int(fields[1]) if fields else 0


def _process(pid: int) -> Process | None:
    fields = _stat(pid)
    return Process(pid, int(fields[19])) if fields and fields[0] not in "ZX" else None


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat from the third (the state) on; the second may contain spaces."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
