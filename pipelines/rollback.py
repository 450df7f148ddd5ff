"""The flow `rollback`: make an older version champion again. It can be started from Prefect's page, which lists it."""

import argparse
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from pipelines import ROOT
from pipelines.cli_client import roll_back
from pipelines.notify import Notice, notify
from pipelines.supervision.final_states import conclude, where_to_look
from pipelines.supervision.flow_process import run_and_exit
from pipelines.tasks import run_name

ADVICE = "restart what keeps a model in memory; what loads @champion again gets the older one"


@flow(name="rollback", flow_run_name=run_name("rollback"), persist_result=False)
def rollback(because: str, version: str | None = None, root: Path = ROOT) -> State[Any]:
    """Make an older version of the model champion again.

    It may run while another flow is running.

    Args:
        because: The reason, for those who read the history.
        version: The number of the version. Default: the champion before the current one.
        root: The clone whose model and registry are used.
    """
    return conclude("rollback", root, lambda: _rollback(root, version, because))


def _rollback(root: Path, version: str | None, because: str) -> State[Any]:
    message = roll_back(root, version, because)
    happened = f"{message}\nBecause: {because}"
    notify(root, Notice("seqloom rollback: RolledBack", happened, where_to_look(root), ADVICE, bad=False))
    return Completed(name="RolledBack", message=message)


def main(arguments: list[str]) -> None:
    """Run the flow with command-line arguments."""
    parser = argparse.ArgumentParser(
        "python -m pipelines rollback", description="Make an older version champion again."
    )
    parser.add_argument("version", nargs="?", help="its number (default: the champion before the current one)")
    parser.add_argument("--because", required=True, metavar="TEXT", help="the reason, for those who read the history")
    given = parser.parse_args(arguments)
    run_and_exit(ROOT, lambda: rollback(given.because, given.version, ROOT, return_state=True))
