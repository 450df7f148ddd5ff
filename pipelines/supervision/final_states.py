"""How flows end: every end has one state in Prefect, at most one notification, and an exit status.

Completed   Skipped: nothing new, nothing to do. Promoted: a new champion. NotPromoted: a new version that the gate
            refuses, with its reason. RolledBack: an older version is champion again.
Cancelled   Busy: another flow is at work in this clone, or another DVC command was for too long. Cancelled, by Prefect:
            somebody cancelled the run, or ended the schedule that started it.
Failed      Refused: the new data is out of bounds, and a person decides. TimedOut: a stage took longer than its meta
            allows. DiskFull: no space is left. Unreachable: a source, the registry or the remote did not answer, and
            other tries did not help. NotPublished: the result stands, and its push or commit failed. Failed: anything
            else, in the words of what failed.
Crashed     Killed; the next flow says so and cleans up (zombies.py).
"""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run as current
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelled, Failed

from pipelines.cli_client import RefusedError
from pipelines.data_guard import OutOfBoundsError, digest
from pipelines.environment import belong_to
from pipelines.notify import Notice, notify, notify_once
from pipelines.publish import PublishError
from pipelines.stage import StageError
from pipelines.supervision.clone_lock import BusyError

BUSY, REFUSED = os.EX_TEMPFAIL, 3
EXPECTED = (StageError, RefusedError, PublishError, OutOfBoundsError, DvcException, BusyError)
_FULL = ("no space is left", "No space left", "Disk quota exceeded")

ADVICE = {
    "Refused": "look at the data; if it is right, run `python -m pipelines retrain --accept-data`",
    "Busy": "nothing: the other run does the work; one that hangs can be cancelled in Prefect",
    "TimedOut": "find in its log where it hung; if it only needs longer, raise its timeout_minutes in dvc.yaml",
    "DiskFull": "make room (`dvc gc --workspace` drops what no result here uses); the next run goes on from there",
    "Unreachable": "nothing if it passes by itself: the next run tries again and goes on from there",
    "NotPublished": "put right what it says; the next run publishes what is not published, without training",
    "Failed": "put right what it says; the next run goes on from there, and what is done is not done again",
}
DEFECT = "report it: this is a defect of the pipeline"


def conclude(flow: str, root: Path, work: Callable[[], State[Any]]) -> State[Any]:
    """Do the work and return its state; what a person can put right becomes a state, too, and is told once."""
    belong_to(None if current.id is None else str(current.id))
    try:
        return work()
    except EXPECTED as error:
        name = kind(error)
        notice = Notice(f"seqloom {flow}: {name}", str(error), where(root, error), ADVICE[name])
        if name == "Busy":
            return Cancelled(name=name, message=str(error), data=error)
        if isinstance(error, OutOfBoundsError):  # every run finds it again until somebody decides
            notify_once(root, f"Refused {digest(error.guarded)}", notice)
        else:
            notify(root, notice)
        return Failed(name=name, message=str(error), data=error)
    except Exception as error:  # a defect: Prefect keeps its traceback
        said = f"{type(error).__name__}: {error}"
        notify(root, Notice(f"seqloom {flow}: Failed", said, where(root, error), DEFECT))
        raise


class PlainWords(logging.Filter):
    """Takes the traceback off a record about a failure that a person can put right: its message says everything."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, EXPECTED):
            record.exc_info = record.exc_text = None
            if record.name == "prefect.engine":  # else "Engine execution exited with unexpected exception"
                record.msg, record.args = "This run ended as %s; the line before says why", (kind(error),)
        return True


for _logger in ("prefect.engine", "prefect.flow_runs", "prefect.task_runs"):
    logging.getLogger(_logger).addFilter(PlainWords())


def kind(error: BaseException) -> str:
    """The name of the state that an error leads to."""
    if isinstance(error, BusyError):
        return "Busy"
    if isinstance(error, OutOfBoundsError):
        return "Refused"
    if isinstance(error, PublishError):
        return "NotPublished"
    if any(words in str(error) for words in _FULL):
        return "DiskFull"
    status = getattr(error, "status", None)
    return {124: "TimedOut", os.EX_TEMPFAIL: "Unreachable"}.get(status or 0, "Failed")


def where(root: Path, error: BaseException | None = None) -> str:
    """Where to look: the page of the run, and the log of what failed."""
    page = current.ui_url if current.id and PREFECT_API_URL.value() else None
    log = root / "scratch" / "logs" / f"{error.stage}.log" if isinstance(error, StageError) else None
    run = f"run {current.name} in Prefect" if current.id else ""
    return ", ".join(str(place) for place in (log, page or run) if place)


def exit_status(state: State[Any]) -> int:
    """What the command of a flow leaves with."""
    if state.is_completed():
        return 0
    return {"Busy": BUSY, "Refused": REFUSED}.get(state.name or "", 1)
