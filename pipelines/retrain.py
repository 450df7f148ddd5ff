"""The flow `retrain`: new data? -> data in bounds? -> DAG -> gate -> publish and report. It is meant for a schedule.

Its state is that of DVC, Git and the registry: whenever a run is killed, the next one finds what is missing and
completes it. docs/RETRAINING.md explains it.
"""

import argparse
from pathlib import Path
from typing import Any, get_args

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from pipelines import ROOT
from pipelines.cli_client import RegistryLookup, find_champion, set_params, watch
from pipelines.dag import changed_stages, upstream
from pipelines.data_guard import guard_data
from pipelines.publish import Commit, Publication, is_published
from pipelines.report import finish
from pipelines.run import reconcile, run_stages
from pipelines.supervision.crashed_runs import exclusive_run
from pipelines.supervision.final_states import conclude
from pipelines.supervision.flow_process import run_and_exit
from pipelines.tasks import run_name, step
from pipelines.verdict import read_verdict

GUARDED = "prepare_corpus"  # the guard runs after this stage
TRAINED = "train_model"  # a warm start is set before this stage


@flow(name="retrain", flow_run_name=run_name("retrain"), persist_result=False)
def retrain(
    root: Path = ROOT, warm_start: bool = False, accept_data: bool = False, push: bool = False, commit: Commit = "no"
) -> State[Any]:
    """Look for new data; if there is some, train, let the gate judge, publish and report.

    Args:
        root: The clone to work in.
        warm_start: Start from the weights and the vocabulary of the champion (train.start of params.yaml).
        accept_data: Train on the data in the clone even if the guard refuses it, because a person has checked it.
        push: Push the data and models of the result to DVC's default remote, if there is one.
        commit: Commit dvc.lock, params.yaml, metrics and plots to the branch "retrained", to a tag per version, or
            here, to the branch that is checked out.
    """
    wanted = Publication(push, commit)
    return conclude("retrain", root, lambda: _retrain(root, wanted, warm_start=warm_start, accept_data=accept_data))


def _retrain(root: Path, wanted: Publication, *, warm_start: bool, accept_data: bool) -> State[Any]:
    with exclusive_run(root), RegistryLookup(root) as before:
        news = step("look for new data", watch, root)
        if not news.changed and is_settled(root, wanted, before):
            return Completed(name="Skipped", message=f"nothing new: {news}; the last result is registered")
        guarded = run_stages(root, only=upstream(root, GUARDED))
        step("guard the data", guard_data, root, accept=accept_data)
        if warm_start and is_due(root, TRAINED):
            step("start from the champion", start_from_champion, root)
        results = run_stages(root, earlier=guarded)
        verdict = read_verdict(root, reconcile(root, results, before))
        return finish(root, wanted, verdict, news, results)


def is_settled(root: Path, wanted: Publication, before: RegistryLookup) -> bool:
    """Return whether DVC finds nothing changed, and the result is registered and published."""
    if changed_stages(root) != set():
        return False
    verdict = read_verdict(root, before.version())
    return verdict is not None and is_published(root, wanted, verdict.name)


def is_due(root: Path, stage: str) -> bool:
    """Return whether a stage will run: DVC finds it changed, or one that it depends on."""
    changed = changed_stages(root)
    return changed is None or not changed.isdisjoint(upstream(root, stage))


def start_from_champion(root: Path) -> str:
    """Write the current champion into train.start of params.yaml; without one, training starts from scratch.

    Call this only if training is due; otherwise each new champion would cause another training.
    """
    champion = find_champion(root)
    if champion is None:
        return "there is none yet"
    set_params(root, [f"train.start={champion}"])
    return champion


def main(arguments: list[str]) -> None:
    """Run the flow with command-line arguments."""
    parser = argparse.ArgumentParser("python -m pipelines retrain", description="Train again if there is new data.")
    parser.add_argument("--warm-start", action="store_true", help="start from the champion")
    parser.add_argument("--accept-data", action="store_true", help="train even if the guard refuses the data")
    parser.add_argument("--push", action="store_true", help="push data and models to DVC's default remote")
    parser.add_argument("--commit", choices=get_args(Commit), default="no", help="where to commit lock and metrics")
    given = vars(parser.parse_args(arguments))
    run_and_exit(ROOT, lambda: retrain(ROOT, **given, return_state=True))
