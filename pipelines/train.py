"""The flow `train`: run the DAG of dvc.yaml once. `make run` calls it."""

import argparse
from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from pipelines import ROOT
from pipelines.cli_client import RegistryLookup, set_params
from pipelines.run import reconcile, run_stages
from pipelines.summary import version_label, write_artifact
from pipelines.supervision.crashed_runs import exclusive_run
from pipelines.supervision.final_states import conclude
from pipelines.supervision.flow_process import run_and_exit
from pipelines.tasks import run_name

Override = Annotated[str, Field(pattern=r"^[^=\s]+=", examples=["train.lr=3e-4"])]


@flow(name="train", flow_run_name=run_name("train"), persist_result=False)
def train(
    root: Path = ROOT,
    overrides: list[Override] | None = None,
    corpora: list[str] | None = None,
    label: str | None = None,
) -> State[Any]:
    """Run the stages that DVC finds changed, register the result and print a summary.

    Args:
        root: The clone to work in.
        overrides: Settings to write into params.yaml first, KEY=VALUE each, such as train.lr=3e-4. If one is wrong, the
            run stops before any work.
        corpora: The corpora of params.yaml to train on; the others are removed from it. Default: all of them.
        label: A label for the version, to find it by in the registry.
    """
    return conclude("train", root, lambda: _train(root, [*(overrides or [])], corpora, label))


def _train(root: Path, overrides: list[str], corpora: list[str] | None, label: str | None) -> State[Any]:
    with exclusive_run(root):
        set_params(root, [*overrides, *([f"register.label={label}"] if label else [])], corpora)
        with RegistryLookup(root) as before:
            results = run_stages(root)
            registered = reconcile(root, results, before)
        write_artifact(root, results, version_label(registered))
    return Completed(data=results)


def main(arguments: list[str]) -> None:
    """Run the flow with command-line arguments."""
    parser = argparse.ArgumentParser("python -m pipelines train", description="Run what changed of the pipeline, once.")
    parser.add_argument("overrides", metavar="KEY=VALUE", nargs="*", help="settings to write into params.yaml first")
    parser.add_argument("--corpora", metavar="NAME,NAME", help="train only on these corpora of params.yaml")
    parser.add_argument("--label", metavar="TEXT", help="a label for the version")
    given = parser.parse_args(arguments)
    corpora = given.corpora.split(",") if given.corpora else None
    run_and_exit(ROOT, lambda: train(ROOT, given.overrides, corpora, given.label, return_state=True))
