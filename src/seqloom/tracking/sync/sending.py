"""Sends the data of all trainings in a folder: once, or until the trainings end.

`follow` can be stopped, killed and restarted at any time. If the store does not answer, it tries again after 1, 2, 4,
... seconds, at most a minute. Nothing is lost meanwhile, since all data is on disk. At the end it waits a little for
the store; the next `seqloom sync` sends the rest.
"""

import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from seqloom.errors import RegistryError
from seqloom.tracking.client.names import FINGERPRINT
from seqloom.tracking.client.run_data import search_all
from seqloom.tracking.client.store import Store, experiment_id, registry_errors
from seqloom.tracking.runs.training_run import TRAINING
from seqloom.tracking.sync.journal_reader import JOURNAL, JournalReader
from seqloom.tracking.sync.training_sync import PLACE, POSITION, TrainingSync, place_tag, sync_lock

_LONGEST = 60.0  # seconds between two attempts to reach the store
_STALE = 24 * 3600.0  # seconds; a journal that is unchanged for longer is not checked


def trainings(scratch: Path) -> list[Path]:
    """Return the folders of trainings, ordered by the last change of their journals."""
    return [file.parent for file in sorted(scratch.glob(f"*/{JOURNAL}"), key=os.path.getmtime)]


def registered_trainings(store: Store) -> set[str]:
    """Return the names of the trainings whose runs register_model has completed. Raises `RegistryError`."""
    with registry_errors(store):
        homes = [each.experiment_id for each in search_all(store.client.search_experiments)]
        search = partial(store.client.search_runs, homes)
        runs = search_all(search, f"attributes.status = 'FINISHED' and tags.`{TRAINING}` LIKE '%'")
    return {run.data.tags[TRAINING] for run in runs if FINGERPRINT in run.data.tags}


def was_sent(folder: Path) -> bool:
    """Return whether the run of a training was sent and closed, and its journal has not changed since."""
    try:
        position = json.loads((folder / POSITION).read_text(encoding="utf-8"))
        newer = (folder / JOURNAL).stat().st_mtime > (folder / POSITION).stat().st_mtime
        return bool(position.get("closed")) and not newer
    except (OSError, ValueError, AttributeError):
        return False


def send_all(store: Store, experiment: str, scratch: Path, report: Callable[[str], None]) -> None:
    """Send the remaining data of every training, and close the runs of trainings that have ended or are deleted.

    Raises:
        RegistryError: the store refuses or does not answer.
    """
    for folder in trainings(scratch):
        with sync_lock(folder) as ours:
            if not ours:
                report(f"{folder}: another process sends this")
                continue
            live = TrainingSync(folder)
            live.read_new()
            if live.journal.process is not None:
                live.send(store, experiment)
                report(f"{folder}: sent")
    for run_id in _abandoned(store, experiment, scratch):
        with registry_errors(store):
            store.client.set_terminated(run_id, "KILLED")
        report(f"run {run_id}: closed, its training is gone")


def follow(
    open_store: Callable[[], Store],
    experiment: str,
    scratch: Path,
    stop: threading.Event,
    report: Callable[[str], None],
    *,
    every: float = 10.0,
    patience: float = 20.0,
) -> bool:
    """Send what trainings in `scratch` write, until all that were seen have ended or `stop` is set.

    If no training begins, this ends with the parent process.

    Args:
        open_store: opens the store; called again while it raises `RegistryError`.
        experiment: the name of the experiment for the runs.
        scratch: the folder with the folders of trainings.
        stop: ends this function early.
        report: called with messages.
        every: seconds between two attempts to send.
        patience: seconds to wait at the end for a store that does not answer.

    Returns:
        Whether everything was sent.
    """
    connection, parent, begun = _Connection(open_store, report), os.getppid(), time.time()
    with ExitStack() as stack:
        followed: dict[Path, TrainingSync] = {}
        while True:
            last = stop.is_set()
            for folder in _going_on(scratch, begun, followed):
                with ExitStack() as attempt:
                    if attempt.enter_context(sync_lock(folder)):
                        stack.push(attempt.pop_all())
                        followed[folder] = TrainingSync(folder)
                        report(f"following {folder}")
            for live in followed.values():
                live.read_new()
            ended = bool(followed) and not any(live.journal.alive() for live in followed.values())
            if last or ended or (not followed and os.getppid() != parent):
                return _finish(connection, list(followed.values()), experiment, patience)
            connection.use(lambda store: _send(list(followed.values()), store, experiment))
            stop.wait(every)


class _Connection:
    """The store, opened as soon as it answers."""

    def __init__(self, open_store: Callable[[], Store], report: Callable[[str], None]) -> None:
        self._open, self._report = open_store, report
        self._store: Store | None = None
        self._pause, self._next = 1.0, 0.0
        self._silent = False

    def use(self, work: Callable[[Store], None], *, now: bool = False) -> bool:
        """Call `work` with the store if the pause after a failure is over, or `now`; return whether it succeeded."""
        if not now and time.monotonic() < self._next:
            return False
        try:
            self._store = self._store or self._open()
            work(self._store)
        except RegistryError as error:
            if not self._silent:
                self._report(f"{error}; training continues, and its data is sent later")
            self._silent = True
            self._next = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, _LONGEST)
            return False
        if self._silent:
            self._report("the store answers again")
        self._silent, self._pause = False, 1.0
        return True


def _send(trainings: list[TrainingSync], store: Store, experiment: str) -> None:
    for live in trainings:
        live.send(store, experiment)


def _finish(connection: _Connection, followed: list[TrainingSync], experiment: str, patience: float) -> bool:
    """Send the rest and close the runs; return whether that succeeded."""
    until = time.monotonic() + patience
    while followed and not connection.use(lambda store: _send(followed, store, experiment), now=True):
        if time.monotonic() >= until:
            return False
        time.sleep(1.0)
    return True


def _going_on(scratch: Path, since: float, followed: dict[Path, TrainingSync]) -> list[Path]:
    """Return folders that are not followed yet and whose training is running, or wrote its journal after `since`."""
    found = []
    for folder in trainings(scratch):
        written = (folder / JOURNAL).stat().st_mtime
        if folder in followed or time.time() - written > _STALE:
            continue
        journal = JournalReader(folder / JOURNAL, 1)
        journal.read()
        if journal.alive() or (journal.process is not None and written >= since):
            found.append(folder)
    return found


def _abandoned(store: Store, experiment: str, scratch: Path) -> list[str]:
    """Return the ids of runs with the status RUNNING whose training's folder was here and is deleted."""
    with registry_errors(store):
        home = experiment_id(store, experiment)
        running = store.client.search_runs([home], "attributes.status = 'RUNNING'")
    found = []
    for run in running:
        folder = scratch / run.data.tags.get(TRAINING, "")
        if _is_of(store, run, folder) and FINGERPRINT not in run.data.tags and not folder.exists():
            found.append(str(run.info.run_id))
    return found


def _is_of(store: Store, run: Any, folder: Path) -> bool:
    """Return whether this is or was the folder of the run's training."""
    tag = run.data.tags.get(PLACE, "")
    # Earlier versions logged absolute paths to the clone's own store, too; the clone may have been moved since.
    return tag == place_tag(store, folder) or (store.movable and tag.endswith(f"/{folder}"))
