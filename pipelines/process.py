"""Run one command in a process group of its own, show its log as it grows, and leave nothing behind.

The command writes to a file and not to a pipe: if whoever watches is killed, the command is not, and its result counts.
"""

import codecs
import os
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


def run_logged(
    command: Sequence[str], *, log: Path, root: Path, environment: Mapping[str, str], tell: Callable[[str], None]
) -> int:
    """Run `command` in `root`, copy what it writes from `log` to stdout and by lines to `tell`; return its status.

    However this ends, the command and all of its children have ended too: asked by SIGINT first, as by a person.
    """
    _heed_interrupts()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out, log.open("rb") as written:
        process = subprocess.Popen(
            command, cwd=root, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
        try:
            follow = _Follower(written, tell)
            while process.poll() is None:
                follow.copy()
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
    """Copies what is new in a log."""

    def __init__(self, log: BinaryIO, tell: Callable[[str], None]) -> None:
        self._log, self._tell = log, tell
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._line = ""

    def copy(self) -> None:
        text = self._decoder.decode(self._log.read())
        if not text:
            return
        sys.stdout.write(text)
        sys.stdout.flush()
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._tell_last(line)

    def finish(self) -> None:
        if self._line:
            sys.stdout.write("\n")
            self._tell_last(self._line)

    def _tell_last(self, line: str) -> None:
        # Of a line that redraws itself, only its last state is worth keeping.
        if shown := line.rstrip("\r").rpartition("\r")[2].rstrip():
            self._tell(shown)


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
