"""The final states of flows. Every outcome has one state in Prefect, at most one notice, and an exit status.

Completed   Skipped: nothing new, nothing to do. Promoted: a new champion. NotPromoted: a new version that the gate
            refuses, with its reason. RolledBack: an older version is champion again.
Cancelled   Busy: another flow is running in this clone, or another DVC command ran for too long. Cancelled, set by
            Prefect: a user cancelled the run, or stopped the schedule that started it.
Failed      Refused: the new data is out of bounds, and a person decides. TimedOut: a stage took longer than its meta
            allows. DiskFull: no space is left. Unreachable: a source, the registry or the remote did not answer, and
            retries did not help. NotPublished: the result is registered, but its push or commit failed. Failed:
            anything else, with the message of what failed.
Crashed     The run was killed; the next flow sets this state and cleans up (crashed_runs.py).
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run as current
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelled, Failed

from pipelines.environment import set_flow_run
from pipelines.errors import BusyError, CommandError, OutOfBoundsError, PublishError, StageError
from pipelines.notify import Notice, notify, notify_once
from seqloom.exits import DONE, FAILED, REFUSED, TIMED_OUT, TRY_LATER
from seqloom.places import LOGS

EXPECTED = (StageError, CommandError, PublishError, OutOfBoundsError, DvcException, BusyError)
_FULL = ("no space is left", "No space left", "Disk quota exceeded")

ADVICE = {
    "Refused": "look at the data; if it is right, run `python -m pipelines retrain --accept-data`",
    "Busy": "nothing: the other run does the work; if it hangs, cancel it in Prefect",
    "TimedOut": "find in its log where it hung; if it only needs longer, raise its timeout_minutes in dvc.yaml",
    "DiskFull": "make room (`seqloom gc` shows what nothing needs); the next run continues from there",
    "Unreachable": "nothing if it passes: the next run tries again and continues from there",
    "NotPublished": "fix what the message says; the next run publishes what is missing, without training",
    "Failed": "fix what the message says; the next run continues from there and repeats nothing that is done",
}
DEFECT = "report it: this is a defect of the pipeline"


def conclude(flow: str, root: Path, work: Callable[[], State[Any]]) -> State[Any]:
    """Call `work` and return its state; turn a failure that a person can fix into a state and a notice.

    Any other exception is raised again, after a notice: Prefect keeps its traceback.
    """
    set_flow_run(None if current.id is None else str(current.id))
    try:
        return work()
    except EXPECTED as error:
        name = state_name(error)
        notice = Notice(f"seqloom {flow}: {name}", str(error), where_to_look(root, error), ADVICE[name])
        if name == "Busy":
            return Cancelled(name=name, message=str(error), data=error)
        if isinstance(error, OutOfBoundsError):  # every run is refused again until somebody decides
            notify_once(root, f"Refused {error.digest}", notice)
        else:
            notify(root, notice)
        return Failed(name=name, message=str(error), data=error)
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        notify(root, Notice(f"seqloom {flow}: Failed", message, where_to_look(root, error), DEFECT))
        raise


class DropTraceback(logging.Filter):
    """Removes the traceback from a log record about a failure that a person can fix; the message is sufficient."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True: every record is logged."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, EXPECTED):
            record.exc_info = record.exc_text = None
            if record.name == "prefect.engine":  # replaces "Engine execution exited with unexpected exception"
                record.msg, record.args = "This run ended as %s; see the line before", (state_name(error),)
        return True


for _logger in ("prefect.engine", "prefect.flow_runs", "prefect.task_runs"):
    logging.getLogger(_logger).addFilter(DropTraceback())


def state_name(error: BaseException) -> str:
    """Return the name of the state that an error leads to."""
    if isinstance(error, BusyError):
        return "Busy"
    if isinstance(error, OutOfBoundsError):
        return "Refused"
    if isinstance(error, PublishError):
        return "NotPublished"
    if any(words in str(error) for words in _FULL):
        return "DiskFull"
    return {TIMED_OUT: "TimedOut", TRY_LATER: "Unreachable"}.get(getattr(error, "status", FAILED), "Failed")


def where_to_look(root: Path, error: BaseException | None = None) -> str:
    """Return where to find more: the log of the stage that failed, and the page or the name of the run."""
    page = current.ui_url if current.id and PREFECT_API_URL.value() else None
    log = root / LOGS / f"{error.stage}.log" if isinstance(error, StageError) else None
    run = f"run {current.name} in Prefect" if current.id else ""
    return ", ".join(str(place) for place in (log, page or run) if place)


def exit_status(state: State[Any]) -> int:
    """Return the exit status of a flow's command."""
    if state.is_completed():
        return DONE
    return {"Busy": TRY_LATER, "Refused": REFUSED}.get(state.name or "", FAILED)
