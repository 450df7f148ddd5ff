"""What every flow has around it where it is a command: a process of its own, Ctrl-C that ends all, an exit status."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from prefect import tags
from prefect.client.schemas.objects import State

from pipelines.endings import EXPECTED, exit_status
from pipelines.leftovers import adopt, end_leftovers
from pipelines.zombies import run_tags

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


def run_apart(main: Callable[[list[str]], None], root: Path) -> None:
    """Let `main` do the work in a process with a session of its own, and leave with its exit status.

    Ctrl-C on a terminal reaches every process of the foreground. Prefect's embedded server must not be among them: the
    flow would wait for minutes for a server that is gone, to tell it that it was interrupted.
    """
    # A fork, and not a new interpreter, which would take seconds to import Prefect once more; no thread runs yet.
    flow_run = os.fork()
    if flow_run == 0:
        os.setsid()
        main(sys.argv[1:])
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, frame: os.kill(flow_run, received))
    status = os.waitstatus_to_exitcode(os.waitpid(flow_run, 0)[1])
    if status < 0:  # killed: what it started would go on for nobody, and Prefect's server with it
        end_leftovers(root)
    sys.exit(status if status >= 0 else 128 - status)
