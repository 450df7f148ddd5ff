"""The flow `train`: the DAG of dvc.yaml once, and what came of it. `make run` calls it."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from dvc.exceptions import DvcException
from prefect import flow

from pipelines import ROOT
from pipelines.dag import changed_stages, read_stages
from pipelines.package import RefusedError, check_params, find_registered, register
from pipelines.stage import Outcome, StageError, run_stage
from pipelines.summary import publish
from pipelines.workspace import BusyError, alone

_APART = "SEQLOOM_FLOW_APART"  # set for the process that is the flow


@flow(name="train", persist_result=False)
def train(root: Path = ROOT) -> list[Outcome]:
    """Run what DVC finds changed, see that the result is registered, and say what came of it.

    Raises:
        RefusedError: params.yaml is wrong, or the registry refuses.
        StageError: a stage failed.
        BusyError: another flow is at work in this clone.
    """
    with alone(root):
        check_params(root)
        outcomes = run_stages(root)
        registered = reconcile(root, outcomes)
        publish(root, outcomes, registered)
    return outcomes


def run_stages(root: Path) -> list[Outcome]:
    """Run every stage in its order; one that DVC finds unchanged, behind others that are, is only noted."""
    changed = changed_stages(root)
    outcomes: list[Outcome] = []
    done: set[str] = set()  # stages whose results may differ from what `changed` saw
    for stage in read_stages(root):
        needed = changed is None or stage.name in changed or not done.isdisjoint(stage.after)
        outcomes.append(run_stage(stage, root, changed=needed))
        if outcomes[-1].what != "up to date":
            done.add(stage.name)
    return outcomes


def reconcile(root: Path, outcomes: Sequence[Outcome]) -> str | None:
    """Return what the registry calls the result, and register it first where DVC restored it: then no stage has."""
    found = find_registered(root)
    restored = any(outcome.what == "restored" for outcome in outcomes)
    if (restored or found is None) and (root / "metrics" / "registration.json").exists():
        register(root)
        found = find_registered(root)
    if found is None:
        return None
    aliases = f" ({', '.join(found['aliases'])})" if found["aliases"] else ""
    return f"{found['name']} version {found['version']}{aliases}"


def main() -> None:
    """Run the flow here and now. Exit status: 0 done, 1 failed, 130 interrupted, 143 terminated."""
    # Prefect hands SIGTERM on to whoever handled it before; nobody would mean that its server outlives this process.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    interrupted: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        interrupted.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    print("seqloom: starting; Prefect's embedded server takes some seconds", flush=True)
    try:
        train()
    except (StageError, BusyError, RefusedError, DvcException) as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        sys.exit(1)
    except BaseException:
        if not interrupted:  # else what is raised may be no more than an after-effect
            raise
        print("interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(130)


def apart() -> int:
    """Run this module once more in a session of its own, and return its exit status.

    Ctrl-C on a terminal reaches every process of the foreground. Prefect's embedded server must not be among them: the
    flow would wait for minutes for a server that is gone, to tell it that it was interrupted.
    """
    flow_run = subprocess.Popen(
        [sys.executable, "-m", "pipelines.train"], env={**os.environ, _APART: "1"}, start_new_session=True
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, frame: flow_run.send_signal(received))
    status = flow_run.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    if _APART in os.environ:
        main()
    else:
        sys.exit(apart())
