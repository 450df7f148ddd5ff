"""What every flow has around it where it is a command: signals that end all, an exit status."""

import gc
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
from pipelines.supervision.processes import adopt

INTERRUPTED = 130


def run_here(root: Path, flow: Callable[[], State[Any]]) -> None:
    """Run the flow here and now, and leave the process with its exit status.

    0 done, 1 failed, 3 the new data is refused, 75 another flow is at work, 130 interrupted, 143 terminated.
    """
    # Prefect hands SIGTERM on to whoever handled it before; nobody would mean that its server outlives this process.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    interrupted: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        interrupted.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    adopt(root)
    gc.freeze()  # Prefect's and DVC's modules stay until the end: no collection has to look through them
    print("seqloom: starting; Prefect's embedded server takes some seconds", flush=True)
    try:
        with tags(*run_tags(root)):
            state = flow()
    except BaseException:
        if not interrupted:  # else what is raised may be no more than an after-effect
            raise
        print("interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(INTERRUPTED)
    failure = state.result(raise_on_failure=False)
    if isinstance(failure, Exception) and not isinstance(failure, EXPECTED):
        raise failure  # a defect keeps its traceback
    status = exit_status(state)
    for line in (state.message or "").splitlines():
        print(f"error: {line}" if status else line, file=sys.stderr if status else sys.stdout, flush=True)
    sys.exit(status)
