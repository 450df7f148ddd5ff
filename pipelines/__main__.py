"""`python -m pipelines FLOW`: one flow, here and now, in a process of its own.

`schedule` serves all of them, and `prefect` is Prefect's command line at the server of that schedule. Importing Prefect
takes as long as a look at the registry, which most flows begin with: the two go side by side.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext
from importlib import import_module

from pipelines import ROOT
from pipelines.cli_client import looking_ahead
from pipelines.prefect_cli import API
from pipelines.supervision.prefect_server import end_with
from pipelines.supervision.processes import end_leftovers

LOOKING, OTHERS = ("train", "retrain"), ("rollback", "sweep")
SERVICES = ("schedule", "prefect")


def main() -> None:
    """Run the flow that the command line names."""
    parser = argparse.ArgumentParser("python -m pipelines", description="Run a flow, or serve all of them.")
    parser.add_argument("flow", choices=(*LOOKING, *OTHERS, *SERVICES), help="what to run; FLOW --help tells of it")
    parser.add_argument("arguments", metavar="...", nargs=argparse.REMAINDER, help="for the flow")
    given = parser.parse_args()
    if given.flow == "prefect":
        _call("prefect_cli", given.arguments)
    elif given.flow == "schedule":
        launcher = os.getpid()
        _apart(lambda: _call("schedule", given.arguments) if end_with(launcher) else None)
    else:
        _apart(lambda: _begin(given.flow, given.arguments))


def _begin(flow: str, arguments: list[str]) -> None:
    looks = flow in LOOKING and not {"-h", "--help"} & {*arguments}
    try:
        with looking_ahead(ROOT) if looks else nullcontext():
            # A server that the environment names is one that others look at: there every run is recorded.
            if flow == "train" and not arguments and not os.environ.get(API):
                from pipelines.unchanged import report_unchanged

                if report_unchanged(ROOT):
                    return
            _call(flow, arguments)
    except KeyboardInterrupt:  # while modules are imported; later the flow itself takes care of it
        sys.exit(128 + signal.SIGINT)


def _call(name: str, arguments: list[str]) -> None:
    import_module(f"pipelines.{name}").main(arguments)


def _apart(work: Callable[[], None]) -> None:
    """Do the work in a process with a session of its own, and leave with its exit status.

    Ctrl-C on a terminal reaches every process of the foreground. Prefect's embedded server must not be among them: the
    flow would wait for minutes for a server that is gone, to tell it that it was interrupted. Nor must the flows of a
    schedule, which cancels them itself.
    """
    flow_run = os.fork()
    if flow_run == 0:
        os.setsid()
        work()
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, frame: os.kill(flow_run, received))
    status = os.waitstatus_to_exitcode(os.waitpid(flow_run, 0)[1])
    if status < 0:  # killed: what it started would go on for nobody, and Prefect's server with it
        end_leftovers(ROOT)
    sys.exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    main()
