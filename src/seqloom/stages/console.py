"""What every stage has around it: settings in, progress and errors out, an exit status for DVC.

A stage is a function of the params and of a listener; what it reads and writes is its own affair, and this module
knows nothing of it.

A stage leaves with one of the statuses of `seqloom.exits`.
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

# A terminal gets one line that redraws itself, anything else a plain line now and then. A flow that shows a stage's
# log file on a terminal asks for the former with SEQLOOM_PROGRESS=live.
LIVE_EVERY, PLAIN_EVERY = 0.1, 5.0  # seconds


class _Terminated(BaseException):
    """SIGTERM, as an exception, so that what a stage holds open is closed on the way out."""


class Meter:
    """Draws `Progress` records on a stream: how far, how fast, how long still."""

    def __init__(self, stream: TextIO, *, live: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._live, self._clock = stream, live, clock
        self._every = LIVE_EVERY if live else PLAIN_EVERY
        self._last: Progress | None = None
        self._pending = False  # the last record has not been drawn
        self._began = self._drawn = 0.0
        self._began_at = 0  # what was done when the task was first heard of: a resumed one does not start at nothing
        self._width = 0

    def __call__(self, progress: Progress) -> None:
        """Draw a record, or keep it for later where the last drawing is too fresh."""
        now = self._clock()
        if self._last is None or progress.task != self._last.task:
            self.close()
            self._began, self._began_at, self._drawn = now, progress.done, -math.inf
        self._last, self._pending = progress, True
        if progress.done == progress.total or now - self._drawn >= self._every:
            self._draw(now)

    def close(self) -> None:
        """Draw what is still kept, and leave the line."""
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
    """Return one line for a record, of which `done_here` units were done in `seconds`."""
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
    """Gives what the core says to a person a line of its own, which progress does not draw over."""

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
    """Run a stage on params.yaml and leave the process if it fails, with one line on stderr that says why."""
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
        _fail(f"{error}{_way_back()}", exits.MISUSED)
    except (OfflineError, SilentError) as error:
        _fail(str(error), exits.TRY_LATER)
    except SeqloomError as error:
        _fail(str(error), exits.FAILED)
    except KeyboardInterrupt:
        _fail(f"{name} was interrupted; run again to go on", exits.INTERRUPTED)
    except _Terminated:
        _fail(f"{name} was interrupted; run again to go on", exits.TERMINATED)
    except Exception as error:
        if (said := _of_the_machine(error)) is None:
            raise
        _fail(f"{name}: {said} and run again", exits.FAILED)


def _restore(name: str, meter: Meter) -> None:
    """Bring back the results of the last run, as far as that goes."""
    with suppress(Exception):  # the error that made the stage fail matters more; the disk may be full
        if folders := restore(name):
            meter.close()
            print(f"`dvc checkout {' '.join(folders)}` brings back what the last run left there", file=sys.stderr)


def _way_back() -> str:
    """What to do about params.yaml if `dvc exp run -S` changed it here, in the clone and not in a copy of it."""
    if "DVC_EXP_NAME" not in os.environ or "/.dvc/tmp/exps/" in Path.cwd().as_posix():
        return ""
    return "\nparams.yaml keeps what `-S` wrote into it; `git checkout params.yaml` brings back the committed file"


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise _Terminated


def _of_the_machine(error: Exception) -> str | None:
    """What is wrong with the disk or the limits of this machine, and what to do; None if the error is another."""
    place = getattr(error, "filename", None) or "this folder"
    number = getattr(error, "errno", None)
    # Libraries that write files in another language wrap the error number into words.
    if number in (errno.ENOSPC, errno.EDQUOT) or os.strerror(errno.ENOSPC) in str(error):
        return f"no space is left on the disk of {place}; make room"
    if number == errno.EFBIG or os.strerror(errno.EFBIG) in str(error):
        return f"a file in {place} has reached the size that its disk or `ulimit -f` allows; raise that"
    if number == errno.EROFS:
        return f"the disk of {place} is read-only; make it writable"
    if number in (errno.EACCES, errno.EPERM):
        return f"{place} may not be used by this user ({os.strerror(number)}); change its owner or mode"
    if number == errno.EIO:
        return f"the disk of {place} cannot be read or written (I/O error); look at the disk"
    if number == errno.EMFILE:
        return "more files are open than this machine allows; raise `ulimit -n`"
    return None


def _fail(message: str, status: int) -> NoReturn:
    if os.environ.get("SEQLOOM_DEBUG") == "1":
        traceback.print_exc()
    for line in message.split("\n"):
        print(f"error: {printable(line)}", file=sys.stderr, flush=True)
    sys.exit(status)
