"""Processes that a killed flow left behind: found by a mark in their environment, and ended.

Whatever a flow starts, DVC, a stage, Prefect's embedded server, carries the clone and the flow's own process in its
environment, which Linux shows in /proc. A process whose flow has ended belongs to nobody. Whether a flow lives is asked
of process numbers together with their start, counted in ticks since the machine's; no clock is read.
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
    """A process that cannot be confused with a later one of the same number."""

    pid: int
    start: int  # ticks since the machine's start

    def __str__(self) -> str:
        return f"{self.pid}:{self.start}"


def this_process() -> Process:
    """The one that asks."""
    found = _process(os.getpid())
    assert found is not None
    return found


def parse(text: str) -> Process | None:
    """The process that `str` wrote, or None where the text is none."""
    pid, _, start = text.partition(":")
    return Process(int(pid), int(start)) if pid.isdigit() and start.isdigit() else None


def lives(process: Process) -> bool:
    """Whether it has not ended; a zombie has."""
    return _process(process.pid) == process


def marks(root: Path) -> dict[str, str]:
    """What the environment of everything that this process starts must say."""
    return {CLONE: str(root.resolve()), OWNER: str(this_process())}


def adopt(root: Path) -> None:
    """Mark all that this process starts from now on, and that it does not start itself: Prefect's server."""
    os.environ.update(marks(root))


def find_leftovers(root: Path) -> list[Process]:
    """Processes of `root` whose flow has ended."""
    clone = str(root.resolve())
    spared = set(_ancestors())  # a flow under a schedule that was killed: its own processes are no leftovers
    found = []
    for process, environment in _environments():
        if process.pid in spared or environment.get(CLONE) != clone:
            continue
        owner = parse(environment.get(OWNER, ""))
        if owner is None or not lives(owner):
            found.append(process)
    return found


def end_leftovers(root: Path, grace: float | None = None) -> list[Process]:
    """Ask them to end by SIGINT, as a person would, wait for a checkpoint, then kill; return who they were.

    One that is asked starts others at times, as a shell does: they are looked for until there are none.
    """
    ended: dict[Process, None] = {}
    end = time.monotonic() + (GRACE if grace is None else grace)
    while (found := find_leftovers(root)) and time.monotonic() < end:
        _send([process for process in found if process not in ended], signal.SIGINT)
        ended |= dict.fromkeys(found)
        time.sleep(POLL)
    while found := find_leftovers(root):
        _send(found, signal.SIGKILL)
        ended |= dict.fromkeys(found)
        time.sleep(POLL)
    return list(ended)


def _send(processes: Iterable[Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            # By number and start once more, at the last moment: the number may be another's by now.
            if lives(process):
                os.kill(process.pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def _environments() -> Iterator[tuple[Process, dict[str, str]]]:
    """Every process that this user may look into, with the environment that it was started with."""
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
    """The fields of /proc/PID/stat from the third, the state, on; the second may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
