"""The process of a flow that was started from the command line: its signals and its exit status."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from prefect import tags
from prefect.client.schemas.objects import State

from pipelines.supervision.crashed_runs import run_tags
from pipelines.supervision.final_states import EXPECTED, exit_status
from pipelines.supervision.processes import mark_children
from seqloom.collector import exempt_modules
from seqloom.exits import INTERRUPTED, TERMINATED


def run_and_exit(root: Path, flow: Callable[[], State[Any]]) -> None:
    """Run the flow in this process, and exit with the status for its final state (docs/RETRAINING.md)."""
    # Prefect passes SIGTERM on to the handler set before its own. Without ours its server would outlive this process.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(TERMINATED))
    interrupted: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        interrupted.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    mark_children(root)
    exempt_modules()
    print("seqloom: starting; Prefect's embedded server takes some seconds", flush=True)
    try:
        with tags(*run_tags(root)):
            state = flow()
    except BaseException:
        if not interrupted:  # else the exception may only be a consequence of the interrupt
            raise
        print("interrupted; the same command continues from here", file=sys.stderr)
        sys.exit(INTERRUPTED)
    failure = state.result(raise_on_failure=False)
    if isinstance(failure, Exception) and not isinstance(failure, EXPECTED):
        raise failure  # a defect keeps its traceback
    status = exit_status(state)
    for line in (state.message or "").splitlines():
        print(f"error: {line}" if status else line, file=sys.stderr if status else sys.stdout, flush=True)
    sys.exit(status)
