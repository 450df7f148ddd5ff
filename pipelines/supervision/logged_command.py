"""Run one command in a process group of its own, show its log as it grows, and leave nothing behind.

The command writes to a file and not to a pipe: if whoever watches is killed, the command is not, and its result counts.
"""

import codecs
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

POLL = 0.1  # seconds between two looks at the log
GRACE = 60.0  # seconds that a command has to come to an end after SIGINT: training writes a checkpoint


NOTHING = re.compile(r"(?!)")


def run_logged(
    command: Sequence[str],
    *,
    log: Path,
    root: Path,
    environment: Mapping[str, str],
    tell: Callable[[str], None],
    hidden: re.Pattern[str] = NOTHING,
    look: Callable[[], None] = lambda: None,
) -> int:
    """Run `command` in `root`, copy what it writes from `log` to stdout and by lines to `tell`; return its status.

    Lines that `hidden` matches as a whole stay in the log alone. `look` is called while the command runs, some times a
    second; what it raises ends the command. However this ends, the command and all of its children have ended too:
    asked by SIGINT first, as by a person.
    """
    _heed_interrupts()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out, log.open("rb") as written:
        process = subprocess.Popen(
            command, cwd=root, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
        try:
            follow = _Follower(written, tell, hidden)
            while process.poll() is None:
                follow.copy()
                look()
                time.sleep(POLL)
            follow.copy()
            follow.finish()
        finally:
            _end(process)
        return process.returncode


def _heed_interrupts() -> None:
    # A shell starts what it puts into the background with SIGINT ignored, and a child would inherit that: it could not
    # be asked to end.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


class _Follower:
    """Copies what is new in a log: whole lines, and a line that redraws itself as it comes."""

    def __init__(self, log: BinaryIO, tell: Callable[[str], None], hidden: re.Pattern[str]) -> None:
        self._log, self._tell, self._hidden = log, tell, hidden
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._line = ""
        self._shown = 0  # characters of the line that are on the screen already

    def copy(self) -> None:
        *lines, self._line = (self._line + self._decoder.decode(self._log.read())).split("\n")
        for line in lines:
            self._take(line)
        if "\r" in self._line:
            self._show(self._line)

    def finish(self) -> None:
        if self._line:
            self._take(self._line)

    def _take(self, line: str) -> None:
        if self._hidden.fullmatch(line):
            return
        self._show(line)
        sys.stdout.write("\n")
        self._shown = 0
        # Of a line that redraws itself, only its last state is worth keeping.
        if last := line.rstrip("\r").rpartition("\r")[2].rstrip():
            self._tell(last)

    def _show(self, line: str) -> None:
        sys.stdout.write(line[self._shown :])
        sys.stdout.flush()
        self._shown = len(line)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End whatever still lives in the group of `process`, itself included."""
    try:
        if _signal(process, signal.SIGINT):
            end = time.monotonic() + GRACE
            while _signal(process, 0) and time.monotonic() < end:
                process.poll()  # reaps it, or it would count as alive
                time.sleep(POLL)
    finally:
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: subprocess.Popen[bytes], number: int) -> bool:
    """Whether there was anyone to receive the signal."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    return True
