"""Downloads of several files side by side, with one line of progress for all of them.

The files end up in the cache; their order, and how many are downloaded at once, change no result. A file that fails
does not stop the others.
"""

import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from seqloom.errors import OfflineError, SourceError
from seqloom.progress import Listener, Progress

PARALLEL_VARIABLE, _PARALLEL, _MOST_PARALLEL = "SEQLOOM_DOWNLOADS", 4, 64
_REPORT_EVERY = 0.2  # seconds
_GRACE = 5.0  # seconds in which interrupted downloads may end; then the process ends them


class Job(NamedTuple):
    """A file, wheel or clone to bring into the cache. Jobs with the same `key` are done once."""

    corpus: str
    key: str
    run: Callable[[Listener], object]  # may return the path of the file in the cache
    size: int | None = None  # bytes, if known
    measure: Callable[[], int | None] | None = None  # asks for the size; only called if some jobs have to wait


class _StoppedError(Exception):
    """The download was stopped because the stage ends."""


def parallel_downloads() -> int:
    """Return how many downloads run at once on this machine. Raises `SourceError` if the variable is not valid."""
    given = os.environ.get(PARALLEL_VARIABLE) or str(_PARALLEL)
    if not (given.isascii() and given.isdigit() and 1 <= int(given[:9]) <= _MOST_PARALLEL):
        raise SourceError(f"{PARALLEL_VARIABLE} is {given[:20]!r}; set it to a whole number from 1 to {_MOST_PARALLEL}")
    return int(given)


def run_jobs(jobs: Sequence[Job], parallel: int, listen: Listener) -> None:
    """Do all jobs, at most `parallel` at once. A single one reports its own progress.

    Raises:
        SourceError: some jobs failed; the others are done. A single error is raised as it is; of several, the messages
            are joined, and it is an `OfflineError` if all of them are.
    """
    distinct = list({job.key: job for job in jobs}.values())
    if len(distinct) == 1:
        distinct[0].run(listen)
        return
    board = _Board(distinct, parallel)
    threads = [
        threading.Thread(target=board.work, name=f"download-{number}", daemon=True)
        for number in range(min(parallel, len(distinct)))
    ]
    try:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            board.changed.wait(_REPORT_EVERY)
            board.changed.clear()
            listen(board.progress())
        if distinct:
            listen(board.progress())
    finally:
        board.stop()
        until = time.monotonic() + _GRACE
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, until - time.monotonic()))
    if board.fault is not None:
        raise board.fault
    _raise([board.errors[number] for number in sorted(board.errors)])


def _raise(errors: Sequence[SourceError]) -> None:
    if len(errors) == 1:
        raise errors[0]
    if errors:
        kind = OfflineError if all(isinstance(error, OfflineError) for error in errors) else SourceError
        raise kind("\n".join(map(str, errors)))


class _Board:
    """The state of all jobs, shared by the threads."""

    def __init__(self, jobs: Sequence[Job], parallel: int) -> None:
        self.errors: dict[int, SourceError] = {}  # by number of the job
        self.fault: Exception | None = None  # any other exception, which is a bug or a fault of the machine
        self.changed = threading.Event()
        self._jobs = jobs
        self._waiting: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        for number, job in enumerate(jobs):
            if job.measure is not None and parallel < len(jobs):
                self._waiting.put(partial(self._measure, number, job.measure))
        for number in range(len(jobs)):
            self._waiting.put(partial(self._download, number))
        self._stopped = threading.Event()
        self._done: dict[int, int] = {}  # bytes
        self._totals: dict[int, int | None] = {number: job.size for number, job in enumerate(jobs)}
        self._finished = 0
        self._note = ""
        self._guard = threading.Lock()

    def work(self) -> None:
        """Do jobs until none is waiting; run by each thread."""
        while not self._stopped.is_set():
            try:
                self._waiting.get_nowait()()
            except (queue.Empty, _StoppedError):
                return
            except Exception as error:
                self.fault = self.fault or error
                self.stop()
            self.changed.set()

    def _measure(self, number: int, measure: Callable[[], int | None]) -> None:
        size = measure()
        with self._guard:
            self._totals[number] = size

    def _download(self, number: int) -> None:
        found: object = None
        try:
            found = self._jobs[number].run(self._listener(number))
        except SourceError as error:
            self.errors[number] = error
        with self._guard:
            if isinstance(found, Path) and found.is_file():  # it may have been there, so that nothing was reported
                self._done[number] = found.stat().st_size
            self._finished += 1
            self._totals[number] = self._done.get(number, 0)

    def stop(self) -> None:
        """Make every job end at its next report."""
        self._stopped.set()

    def progress(self) -> Progress:
        """Return the progress of all jobs together; the total is known once that of every file is."""
        with self._guard:
            totals: Mapping[int, int | None] = dict(self._totals)
            done, finished, note = sum(self._done.values()), self._finished, self._note
        known = [total for total in totals.values() if total is not None]
        total = max(sum(known), done) if len(known) == len(totals) else None
        if total == done and finished < len(self._jobs):
            total = None  # all bytes are there, but not all files are checked
        counted = f"{finished} of {len(self._jobs)} files"
        failed = f", {len(self.errors)} failed" if self.errors else ""
        return Progress("download", done, total, "bytes", f"{counted}{failed}{note and f'; {note}'}")

    def _listener(self, number: int) -> Listener:
        def listen(progress: Progress) -> None:
            if self._stopped.is_set():
                raise _StoppedError
            with self._guard:
                self._done[number] = progress.done
                if progress.total is not None:
                    self._totals[number] = progress.total
                self._note = f"{self._jobs[number].corpus}: {progress.note}" if progress.note else ""
            self.changed.set()

        return listen
