"""`python -m pipelines FLOW`: run one flow now, in its own process.

`schedule` serves every flow; `prefect` is Prefect's command line, connected to the server of that schedule. This module
does not import Prefect.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module

from pipelines import ROOT
from pipelines.prefect_cli import API
from pipelines.supervision.prefect_server import die_with
from pipelines.supervision.processes import end_orphans
from seqloom.exits import INTERRUPTED

FLOWS = ("train", "retrain", "rollback", "sweep")
SERVICES = ("schedule", "prefect")


def main() -> None:
    """Run the flow that the command line names."""
    parser = argparse.ArgumentParser("python -m pipelines", description="Run a flow, or serve all of them.")
    parser.add_argument("flow", choices=(*FLOWS, *SERVICES), help="what to run; see FLOW --help")
    parser.add_argument("arguments", metavar="...", nargs=argparse.REMAINDER, help="arguments of the flow")
    given = parser.parse_args()
    if given.flow == "prefect":
        _call("prefect_cli", given.arguments)
    elif given.flow == "schedule":
        launcher = os.getpid()
        _in_own_session(lambda: _call("schedule", given.arguments) if die_with(launcher) else None)
    else:
        _in_own_session(lambda: _run(given.flow, given.arguments))


def _run(flow: str, arguments: list[str]) -> None:
    try:
        # If the environment names a server, others may watch it, so every run must be recorded there.
        if flow == "train" and not arguments and not os.environ.get(API):
            from pipelines.unchanged import report_unchanged

            if report_unchanged(ROOT):
                return
        _call(flow, arguments)
    except KeyboardInterrupt:  # while modules are imported; later the flow handles it
        sys.exit(INTERRUPTED)


def _call(name: str, arguments: list[str]) -> None:
    import_module(f"pipelines.{name}").main(arguments)


def _in_own_session(work: Callable[[], None]) -> None:
    """Run `work` in a child process with a session of its own, and exit with its status.

    Ctrl-C on a terminal sends SIGINT to every foreground process. Prefect's embedded server must not receive it: the
    flow would then wait for minutes to report its interruption to a server that has ended. The flows of a schedule must
    not receive it either, because the schedule cancels them.
    """
    flow_run = os.fork()
    if flow_run == 0:
        os.setsid()
        work()
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, frame: os.kill(flow_run, received))
    status = os.waitstatus_to_exitcode(os.waitpid(flow_run, 0)[1])
    if status < 0:  # killed; its children, such as Prefect's server, are still running
        end_orphans(ROOT)
    sys.exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    main()
