"""Sends what all trainings of a folder have left, and closes the runs of those that are no more."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seqloom.tracking.client.names import FINGERPRINT
from seqloom.tracking.client.store import Store, experiment_id, refusals
from seqloom.tracking.runs.training_run import TRAINING
from seqloom.tracking.sync.journal_reader import JOURNAL
from seqloom.tracking.sync.training_sync import PLACE, Live, held, place


def trainings(scratch: Path) -> list[Path]:
    """The folders of trainings, the oldest first."""
    return [file.parent for file in sorted(scratch.glob(f"*/{JOURNAL}"), key=os.path.getmtime)]


def send_all(store: Store, experiment: str, scratch: Path, tell: Callable[[str], None]) -> None:
    """Send what is not sent yet of every training, and close the runs of those that have died.

    Raises:
        RegistryError: the store refuses or does not answer.
    """
    for folder in trainings(scratch):
        with held(folder) as ours:
            if not ours:
                tell(f"{folder}: another process sends this")
                continue
            live = Live(folder)
            live.look()
            if live.journal.work is not None:
                live.send(store, experiment)
                tell(f"{folder}: sent")
    for run_id in _abandoned(store, experiment, scratch):
        with refusals(store):
            store.client.set_terminated(run_id, "KILLED")
        tell(f"run {run_id}: closed, its training is gone")


def _abandoned(store: Store, experiment: str, scratch: Path) -> list[str]:
    """Runs that are going on by what MLflow knows, of trainings that were here and whose folder was removed."""
    with refusals(store):
        home = experiment_id(store, experiment)
        running = store.client.search_runs([home], "attributes.status = 'RUNNING'")
    found = []
    for run in running:
        folder = scratch / run.data.tags.get(TRAINING, "")
        if _is_of(store, run, folder) and FINGERPRINT not in run.data.tags and not folder.exists():
            found.append(str(run.info.run_id))
    return found


def _is_of(store: Store, run: Any, folder: Path) -> bool:
    """Whether the training of the run has, or had, this folder."""
    tag = run.data.tags.get(PLACE, "")
    # Earlier versions wrote an absolute folder into the clone's own store, too: the clone may have been moved since.
    return tag == place(store, folder) or (store.movable and tag.endswith(f"/{folder}"))
