"""A registration that was killed is completed by the next one, and a wrong clock does not matter."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from seqloom import places
from seqloom.params import Params, load_params
from seqloom.progress import ignore
from seqloom.stages import register_model
from seqloom.stages.register_model import run
from seqloom.stages.registration import judging
from seqloom.tracking.client.store import connect
from seqloom.tracking.registry import registration as registry
from seqloom.tracking.registry.champion import history
from seqloom.tracking.registry.versions import list_versions
from seqloom.tracking.runs import training_run as runs
from tests.forked import Forked
from tests.stages.registering import MODEL, interrupt, logged_runs, registered
from tests.workspaces import write_results

pytestmark = pytest.mark.usefixtures("untried")


@pytest.mark.parametrize(
    ("module", "call"),
    [
        (runs, "_log_model"),
        (runs, "_log_facts"),
        (runs, "_now"),
        (registry, "_make_model"),
        (register_model, "settle"),
        (judging, "_judge"),
        (judging, "log_verdict"),
        (judging, "set_champion"),
        (register_model, "write_json"),
    ],
)
def test_a_killed_run_is_completed_by_the_next_one(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, module: Any, call: str
) -> None:
    params = write_results(workspace)
    with monkeypatch.context() as patch:
        patch.setattr(module, call, interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(params, ignore)
    assert not places.REGISTRATION.exists()
    run(params, ignore)
    assert [version.aliases for version in registered(workspace).values()] == [("candidate", "champion")]
    statuses = sorted(each.info.status for each in logged_runs(connect(workspace, create=False)))
    assert statuses in (["FINISHED"], ["FINISHED", "KILLED"])


def test_a_kill_between_the_model_and_its_alias_leaves_no_second_version(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = write_results(workspace)
    with monkeypatch.context() as patch:
        patch.setattr(register_model, "set_candidate", lambda *given: os.kill(os.getpid(), signal.SIGKILL))
        process = Forked(lambda: register_model.run(load_params(), ignore))
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert [version.aliases for version in registered(workspace).values()] == [()]
    run(params, ignore)
    assert [version.aliases for version in registered(workspace).values()] == [("candidate", "champion")]
    assert [each.info.status for each in logged_runs(connect(workspace, create=False))] == ["FINISHED"]


def test_a_clock_that_was_set_back_changes_no_order(
    workspace: Path, version_1: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    with monkeypatch.context() as patch:
        patch.setattr("time.time", lambda: now - 90_000)
        run(write_results(workspace, bleu=60.0, seed=2), ignore)
    found = list_versions(connect(workspace, create=False), MODEL)
    assert [version.version for version in found] == ["2", "1"]
    assert [version.aliases for version in found if "candidate" in version.aliases] == [found[0].aliases]
    assert [move.version for move in history(connect(workspace, create=False), "seqloom-en-de")][:1] == ["1"]
    run(write_results(workspace), ignore)  # the first result again is found, not registered again
    assert len(registered(workspace)) == 2


def test_a_run_that_a_power_cut_left_open_is_closed(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = write_results(workspace)
    with monkeypatch.context() as patch:
        patch.setattr(runs, "_log_facts", interrupt)
        patch.setattr("mlflow.MlflowClient.set_terminated", lambda *_: None)
        with pytest.raises(KeyboardInterrupt):
            run(params, ignore)
    run(params, ignore)
    assert sorted(each.info.status for each in logged_runs(connect(workspace, create=False))) == ["FINISHED", "KILLED"]
