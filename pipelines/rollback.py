"""The flow `rollback`: an older version is champion again, on the record, by a button of Prefect's page."""

import argparse
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from pipelines import ROOT
from pipelines.cli_client import roll_back
from pipelines.notify import Notice, notify
from pipelines.run_names import dated
from pipelines.supervision.final_states import conclude, where
from pipelines.supervision.flow_process import run_here


@flow(name="rollback", flow_run_name=dated("rollback"), persist_result=False)
def rollback(because: str, version: str | None = None, root: Path = ROOT) -> State[Any]:
    """Make an older version of the model champion again.

    Whether another flow is at work does not matter.

    Args:
        because: Why, for those who read the history.
        version: The number of the version; left out, the champion before this one.
        root: The clone whose model and registry are meant.
    """
    return conclude("rollback", root, lambda: _rollback(root, version, because))


def _rollback(root: Path, version: str | None, because: str) -> State[Any]:
    said = roll_back(root, version, because)
    notify(root, Notice("seqloom rollback: RolledBack", f"{said}\nBecause: {because}", where(root), DO, bad=False))
    return Completed(name="RolledBack", message=said)


DO = "restart what keeps a model in memory; what loads @champion anew has the older one"


def main(arguments: list[str]) -> None:
    """Run the flow as the arguments say."""
    parser = argparse.ArgumentParser(
        "python -m pipelines rollback", description="Make an older version champion again."
    )
    parser.add_argument("version", nargs="?", help="its number; left out, the champion before this one")
    parser.add_argument("--because", required=True, metavar="TEXT", help="why, for those who read the history")
    given = parser.parse_args(arguments)
    run_here(ROOT, lambda: rollback(given.because, given.version, ROOT, return_state=True))
