"""The flow `train`: the DAG of dvc.yaml once, and what came of it. `make run` calls it."""

import argparse
from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from pipelines import ROOT
from pipelines.cli_client import look, set_params
from pipelines.run import reconcile, run_stages
from pipelines.run_names import dated
from pipelines.summary import describe, publish
from pipelines.supervision.final_states import conclude
from pipelines.supervision.flow_process import run_here
from pipelines.supervision.taking_over import at_work

Override = Annotated[str, Field(pattern=r"^[^=\s]+=", examples=["train.lr=3e-4"])]


@flow(name="train", flow_run_name=dated("train"), persist_result=False)
def train(
    root: Path = ROOT,
    overrides: list[Override] | None = None,
    corpora: list[str] | None = None,
    label: str | None = None,
) -> State[Any]:
    """Run what DVC finds changed, see that the result is registered, and say what came of it.

    Args:
        root: The clone to work in.
        overrides: Settings to write into params.yaml first, KEY=VALUE each, such as train.lr=3e-4; one that is wrong
            stops the run before any work.
        corpora: The corpora of params.yaml to train on; the others are taken out of it. Left out: all that it has.
        label: A label for the version, to find it by in the registry.
    """
    return conclude("train", root, lambda: _train(root, [*(overrides or [])], corpora, label))


def _train(root: Path, overrides: list[str], corpora: list[str] | None, label: str | None) -> State[Any]:
    with at_work(root):
        set_params(root, [*overrides, *([f"register.label={label}"] if label else [])], corpora)
        with look(root) as before:
            outcomes = run_stages(root)
            registered = reconcile(root, outcomes, before)
        publish(root, outcomes, describe(registered))
    return Completed(data=outcomes)


def main(arguments: list[str]) -> None:
    """Run the flow as the arguments say."""
    parser = argparse.ArgumentParser("python -m pipelines train", description="Run what changed of the pipeline, once.")
    parser.add_argument("overrides", metavar="KEY=VALUE", nargs="*", help="settings to write into params.yaml first")
    parser.add_argument("--corpora", metavar="NAME,NAME", help="train on these corpora of params.yaml alone")
    parser.add_argument("--label", metavar="TEXT", help="a label for the version")
    given = parser.parse_args(arguments)
    corpora = given.corpora.split(",") if given.corpora else None
    run_here(ROOT, lambda: train(ROOT, given.overrides, corpora, given.label, return_state=True))
