"""Stays beside a training and sends what it writes, until it has ended. It can be stopped, killed and started again.

A store that does not answer is asked again after 1, 2, 4, ... seconds, at most a minute; meanwhile nothing is lost, for
all of it is on the disk. At the end it is waited for a little, and then left to the next `seqloom sync`.
"""

import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from seqloom.errors import RegistryError
from seqloom.tracking.client.store import Store
from seqloom.tracking.sync.journal_reader import JOURNAL, Journal
from seqloom.tracking.sync.sending import trainings
from seqloom.tracking.sync.training_sync import Live, held

_LONGEST = 60.0  # seconds between two attempts to reach a store that is down
_NEWS = 24 * 3600.0  # seconds; a journal that has not changed for longer belongs to no process that lives


class _Door:
    """The store, opened when it answers."""

    def __init__(self, open_store: Callable[[], Store], tell: Callable[[str], None]) -> None:
        self._open, self._tell = open_store, tell
        self._store: Store | None = None
        self._pause, self._next = 1.0, 0.0
        self._silent = False

    def use(self, work: Callable[[Store], None], *, now: bool = False) -> bool:
        """Do some work with the store, if it is time to try; whether that went well."""
        if not now and time.monotonic() < self._next:
            return False
        try:
            self._store = self._store or self._open()
            work(self._store)
        except RegistryError as error:
            if not self._silent:
                self._tell(f"{error}; training goes on, and what it writes is sent later")
            self._silent = True
            self._next = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, _LONGEST)
            return False
        if self._silent:
            self._tell("the store answers again")
        self._silent, self._pause = False, 1.0
        return True


def follow(
    open_store: Callable[[], Store],
    experiment: str,
    scratch: Path,
    stop: threading.Event,
    tell: Callable[[str], None],
    *,
    every: float = 10.0,
    patience: float = 20.0,
) -> bool:
    """Send what trainings in `scratch` write until those that were seen have ended, or `stop` is set.

    Where none begins, it ends with the process that started it. Returns whether everything was sent; waits for a store
    that is down for `patience` seconds at the end.
    """
    door, parent, begun = _Door(open_store, tell), os.getppid(), time.time()
    with ExitStack() as stack:
        followed: dict[Path, Live] = {}
        while True:
            last = stop.is_set()
            for folder in _going_on(scratch, begun, followed):
                with ExitStack() as attempt:
                    if attempt.enter_context(held(folder)):
                        stack.push(attempt.pop_all())
                        followed[folder] = Live(folder)
                        tell(f"following {folder}")
            for live in followed.values():
                live.look()
            ended = bool(followed) and not any(live.journal.alive() for live in followed.values())
            if last or ended or (not followed and os.getppid() != parent):
                return _finish(door, list(followed.values()), experiment, patience)
            door.use(lambda store: _send(list(followed.values()), store, experiment))
            stop.wait(every)


def _send(trainings: list[Live], store: Store, experiment: str) -> None:
    for live in trainings:
        live.send(store, experiment)


def _finish(door: _Door, followed: list[Live], experiment: str, patience: float) -> bool:
    """Send the rest, and close the runs."""
    until = time.monotonic() + patience
    while followed and not door.use(lambda store: _send(followed, store, experiment), now=True):
        if time.monotonic() >= until:
            return False
        time.sleep(1.0)
    return True


def _going_on(scratch: Path, since: float, followed: dict[Path, Live]) -> list[Path]:
    """Folders whose training is alive, or was since then, and that are not followed yet."""
    found = []
    for folder in trainings(scratch):
        written = (folder / JOURNAL).stat().st_mtime
        if folder in followed or time.time() - written > _NEWS:
            continue
        journal = Journal(folder / JOURNAL, 1)
        journal.read()
        if journal.alive() or (journal.work is not None and written >= since):
            found.append(folder)
    return found
