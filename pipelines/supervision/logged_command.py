"""Runs one command in a process group of its own, shows its log as it grows, and leaves no process behind.

The command writes to a file, not to a pipe: if this process is killed, the command can go on and finish its result.
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

POLL = 0.1  # seconds between two reads of the log
GRACE = 60.0  # seconds between SIGINT and SIGKILL, for training to write a checkpoint

NOTHING = re.compile(r"(?!)")


def run_logged(
    command: Sequence[str],
    *,
    log: Path,
    root: Path,
    environment: Mapping[str, str],
    on_line: Callable[[str], None],
    hidden: re.Pattern[str] = NOTHING,
    poll: Callable[[], None] = lambda: None,
) -> int:
    """Run `command` in `root` with its output in `log`, copy the output to stdout, and return the exit status.

    When this returns or raises, the command and all of its children have ended: they got SIGINT first, then SIGKILL.

    Args:
        command: The program and its arguments.
        log: The file for stdout and stderr; its folder is created.
        root: The working folder of the command.
        environment: The environment of the command.
        on_line: Called with each line of output.
        hidden: Lines that match this as a whole are only written to the log.
        poll: Called several times a second while the command runs; an exception from it ends the command.
    """
    _heed_interrupts()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out, log.open("rb") as written:
        process = subprocess.Popen(
            command, cwd=root, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
        try:
            follow = _Follower(written, on_line, hidden)
            while process.poll() is None:
                follow.copy()
                poll()
                time.sleep(POLL)
            follow.copy()
            follow.finish()
        finally:
            _end(process)
        return process.returncode


def _heed_interrupts() -> None:
    # A shell starts background commands with SIGINT ignored. A child would inherit that and could not be interrupted.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


class _Follower:
    """Copies what is appended to a log: whole lines, and at once the parts of a line that redraws itself."""

    def __init__(self, log: BinaryIO, on_line: Callable[[str], None], hidden: re.Pattern[str]) -> None:
        self._log, self._on_line, self._hidden = log, on_line, hidden
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._line = ""
        self._shown = 0  # number of characters of the line already on the screen

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
        # Of a line that redraws itself, only the last state is reported.
        if last := line.rstrip("\r").rpartition("\r")[2].rstrip():
            self._on_line(last)

    def _show(self, line: str) -> None:
        sys.stdout.write(line[self._shown :])
        sys.stdout.flush()
        self._shown = len(line)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End every process in the group of `process`."""
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
    """Send a signal to the group; return whether the group still has a process."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    return True
