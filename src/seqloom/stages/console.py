"""Runs a stage on params.yaml, shows its progress and errors, and exits with a status from `seqloom.exits`.

A stage is a function of the params and a progress listener.
"""

import errno
import logging
import math
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn, TextIO

from seqloom import exits
from seqloom.errors import OfflineError, ParamsError, SeqloomError, SilentError
from seqloom.params import Params, load_params
from seqloom.printable import printable
from seqloom.progress import Listener, Progress
from seqloom.stages.restore import restore

# On a terminal one line is redrawn; elsewhere a line is written every few seconds. A flow that shows a stage's log file
# on a terminal sets SEQLOOM_PROGRESS=live to get the former.
LIVE_EVERY, PLAIN_EVERY = 0.1, 5.0  # seconds


class _Terminated(BaseException):
    """Raised on SIGTERM, so that a stage closes its files and locks before the process exits."""


class Meter:
    """Draws `Progress` records on a stream: amount done, speed, and time left."""

    def __init__(self, stream: TextIO, *, live: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._live, self._clock = stream, live, clock
        self._every = LIVE_EVERY if live else PLAIN_EVERY
        self._last: Progress | None = None
        self._pending = False  # the last record is not drawn yet
        self._began = self._drawn = 0.0
        self._began_at = 0  # `done` of the task's first record; not 0 if the task was resumed
        self._width = 0

    def __call__(self, progress: Progress) -> None:
        """Draw a record, or keep it for later if the last one was drawn only just now."""
        now = self._clock()
        if self._last is None or progress.task != self._last.task:
            self.close()
            self._began, self._began_at, self._drawn = now, progress.done, -math.inf
        self._last, self._pending = progress, True
        if progress.done == progress.total or now - self._drawn >= self._every:
            self._draw(now)

    def close(self) -> None:
        """Draw a kept record and end the line."""
        if self._pending:
            self._draw(self._clock())
        if self._width:
            self._stream.write("\n")
            self._stream.flush()
        self._last, self._width = None, 0

    def _draw(self, now: float) -> None:
        assert self._last is not None
        line = format_progress(self._last, self._last.done - self._began_at, now - self._began)
        if self._live:
            line = line[: shutil.get_terminal_size().columns - 1]  # a line that wraps cannot be redrawn
            self._stream.write("\r" + line.ljust(self._width))
            self._width = len(line)
        else:
            self._stream.write(line + "\n")
        self._stream.flush()
        self._drawn, self._pending = now, False


def format_progress(progress: Progress, done_here: int, seconds: float) -> str:
    """Return a line for a record; `done_here` of its units were done in `seconds` by this process."""
    task, done, total, unit, note = progress
    shown, shown_unit = (_megabytes, "MB") if unit == "bytes" else (_thousands, unit)
    parts = [task, f"{shown(done)}{'' if total is None else '/' + shown(total)} {shown_unit}"]
    rate = done_here / seconds if seconds > 0 else 0.0
    if rate:
        parts.append(f"{shown(rate)} {shown_unit}/s")
    if note:
        parts.append(note)
    if done == total:
        parts.append(f"in {_duration(seconds)}")
    elif total is not None and rate and seconds >= 1:
        parts.append(f"{_duration((total - done) / rate)} left")
    return printable("  ".join(parts))


def _thousands(count: float) -> str:
    return f"{count:,.0f}" if count >= 10 or count == int(count) else f"{count:.2g}"


def _megabytes(count: float) -> str:
    return f"{count / 1e6:,.1f}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class _Messages(logging.Handler):
    """Prints log records on lines of their own, which the progress line does not overwrite."""

    def __init__(self, meter: Meter) -> None:
        super().__init__(logging.INFO)
        self._meter = meter

    def emit(self, record: logging.LogRecord) -> None:
        self._meter.close()
        warned = "warning: " if record.levelno >= logging.WARNING else ""
        lines = map(printable, record.getMessage().split("\n"))
        print(warned + "\n".join(lines), file=sys.stderr, flush=True)


@contextmanager
def _messages(meter: Meter) -> Iterator[None]:
    logger, handler = logging.getLogger("seqloom"), _Messages(meter)
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def run_stage(name: str, run: Callable[[Params, Listener], None]) -> None:
    """Run a stage on params.yaml; if it fails, print the reason on stderr and exit."""
    signal.signal(signal.SIGTERM, _terminate)
    meter = Meter(sys.stdout, live=sys.stdout.isatty() or os.environ.get("SEQLOOM_PROGRESS") == "live")
    try:
        try:
            with _messages(meter):
                run(load_params(), meter)
        except BaseException:
            _restore(name, meter)
            raise
        finally:
            meter.close()
    except ParamsError as error:
        _fail(f"{error}{_restore_hint()}", exits.MISUSED)
    except (OfflineError, SilentError) as error:
        _fail(str(error), exits.TRY_LATER)
    except SeqloomError as error:
        _fail(str(error), exits.FAILED)
    except KeyboardInterrupt:
        _fail(f"{name} was interrupted; run again to continue", exits.INTERRUPTED)
    except _Terminated:
        _fail(f"{name} was interrupted; run again to continue", exits.TERMINATED)
    except Exception as error:
        if (message := _machine_fault(error)) is None:
            raise
        _fail(f"{name}: {message} and run again", exits.FAILED)


def _restore(name: str, meter: Meter) -> None:
    """Restore the results of the last run as far as possible."""
    with suppress(Exception):  # must not replace the error of the stage; the disk may be full
        if folders := restore(name):
            meter.close()
            print(f"`dvc checkout {' '.join(folders)}` restores the results of the last run there", file=sys.stderr)


def _restore_hint() -> str:
    """Return a hint if `dvc exp run -S` changed params.yaml in this clone, rather than in a copy of it."""
    if "DVC_EXP_NAME" not in os.environ or "/.dvc/tmp/exps/" in Path.cwd().as_posix():
        return ""
    return "\nparams.yaml still has the values of `-S`; `git checkout params.yaml` restores the committed file"


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise _Terminated


def _machine_fault(error: Exception) -> str | None:
    """Return what is wrong with the disk or the limits of this machine, and a remedy; None for other errors."""
    place = getattr(error, "filename", None) or "this folder"
    number = getattr(error, "errno", None)
    # Libraries in other languages raise errors with a message instead of an error number.
    if number in (errno.ENOSPC, errno.EDQUOT) or os.strerror(errno.ENOSPC) in str(error):
        return f"no space is left on the disk of {place}; make room"
    if number == errno.EFBIG or os.strerror(errno.EFBIG) in str(error):
        return f"a file in {place} has reached the size limit of its disk or of `ulimit -f`; raise the limit"
    if number == errno.EROFS:
        return f"the disk of {place} is read-only; make it writable"
    if number in (errno.EACCES, errno.EPERM):
        return f"this user may not use {place} ({os.strerror(number)}); change its owner or mode"
    if number == errno.EIO:
        return f"the disk of {place} cannot be read or written (I/O error); check the disk"
    if number == errno.EMFILE:
        return "this process has too many open files; raise `ulimit -n`"
    return None


def _fail(message: str, status: int) -> NoReturn:
    if os.environ.get("SEQLOOM_DEBUG") == "1":
        traceback.print_exc()
    for line in message.split("\n"):
        print(f"error: {printable(line)}", file=sys.stderr, flush=True)
    sys.exit(status)
