"""The flow `retrain` day by day, on a DAG of shell commands and with a stand-in for `seqloom` commands."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import State

from pipelines import cli_client, notify, tasks
from pipelines import rollback as rollback_module
from pipelines.errors import CommandError
from pipelines.notify import Notice
from pipelines.retrain import retrain
from pipelines.rollback import rollback
from pipelines.supervision import final_states
from pipelines.supervision.clone_lock import hold_clone

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]

DAG = """
stages:
  prepare_corpus: {cmd: echo prepare >> runs; cp source corpus, deps: [source], outs: [corpus]}
  train_model: {cmd: echo train >> runs; cat corpus start > model, deps: [corpus, start], outs: [model]}
  register_model:
    cmd: sh register.sh
    deps: [model]
    metrics: [{metrics/registration.json: {cache: false}}]
"""
# One version per model; the gate promotes those that contain the word "good".
REGISTER = """
set -e
echo register >> runs
mkdir -p metrics reports/gate registry
print=$(md5sum < model | cut -d' ' -f1)
test -e registry/$print || echo $(($(ls registry | wc -l) + 1)) > registry/$print
promoted=false; if grep -q good model; then promoted=true; cp registry/$print champion; fi
printf '{"model": "toy", "version": "%s", "promoted": %s, "reason": "so it is"}' $(cat registry/$print) $promoted \
  > reports/gate/verdict.json
printf 'BLEU and so on' > reports/gate/verdict.md
printf '{"fingerprint": "%s"}' $print > metrics/registration.json
"""


class Answer(NamedTuple):
    """The result of a command."""

    text: str
    fault: CommandError | None = None

    def output(self, fine: object = ()) -> str:
        if self.fault:
            raise self.fault
        return self.text

    def stop(self) -> None:
        pass


class Package:
    """A stand-in for `seqloom` commands in this folder; the guard refuses sources that contain `rubbish`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.watched: list[str] = ["good 1"]
        self.fails: list[CommandError] = []
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, root: Path, module: str, *arguments: str) -> "Answer":
        if module == "seqloom.stages":
            return Answer("")
        try:
            output = getattr(self, arguments[0])(*arguments[1:])
        except CommandError as error:
            return Answer("", error)
        return Answer(output if isinstance(output, str) else json.dumps(output))

    def watch(self, *switches: str) -> dict[str, Any]:
        assert switches == ("--json", "--pin")
        if self.fails:
            raise self.fails.pop(0)
        source = self.root / "source"
        new = self.watched[-1]
        changed = source.read_text(encoding="utf-8") != new
        source.write_text(new, encoding="utf-8")
        return {"sources": [{"corpus": "toy", "changed": changed, "why": "it grew"}], "changed": changed}

    def guard(self, *switches: str) -> dict[str, Any]:
        ok = "rubbish" not in (self.root / "corpus").read_text(encoding="utf-8")
        finding = {"what": "pairs", "now": 3, "before": 100, "low": 50, "high": 200, "ok": ok}
        return {"ok": ok, "baseline": "1", "findings": [finding]}

    def info(self, *switches: str) -> dict[str, Any]:
        champion = self.root / "champion"
        best = champion.read_text(encoding="utf-8").strip() if champion.exists() else None
        known = {path.name: path.read_text(encoding="utf-8").strip() for path in (self.root / "registry").glob("*")}
        return {
            "versions": [
                {"name": "toy", "version": number, "fingerprint": print_, "verdict": "it is so",
                 "aliases": ["champion"] if number == best else []}
                for print_, number in known.items()
            ]
        }  # fmt: skip

    def rollback(self, *words: str) -> str:
        self.asked.append(words)
        return "toy: version 1 is the champion again\n"

    def set(self, *settings: str) -> str:
        ((key, _, value),) = (setting.partition("=") for setting in settings)
        assert key == "train.start"
        (self.root / "start").write_text(value, encoding="utf-8")
        return ""


@pytest.fixture
def clone(make_repository: Callable[[str], Path]) -> Path:
    folder = make_repository(DAG)
    (folder / "register.sh").write_text(REGISTER, encoding="utf-8")
    (folder / "source").write_text("good 1", encoding="utf-8")
    (folder / "start").write_text("nothing", encoding="utf-8")
    return folder


@pytest.fixture
def commands(clone: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    stand_in = Package(clone)
    monkeypatch.setattr(cli_client, "Call", stand_in)
    return stand_in


@pytest.fixture
def notices(monkeypatch: pytest.MonkeyPatch) -> list[Notice]:
    notices: list[Notice] = []
    for module in (notify, final_states, rollback_module):
        monkeypatch.setattr(module, "notify", lambda root, notice: notices.append(notice) or True)
    return notices


def day(root: Path, **given: Any) -> tuple[str, str, list[str]]:
    """Retrain, and return the type and the name of the state, and the stages that ran."""
    state: State[Any] = retrain(root, **given, return_state=True)
    runs = root / "runs"
    done = runs.read_text(encoding="utf-8").split() if runs.exists() else []
    runs.unlink(missing_ok=True)
    return state.type.value, str(state.name), done


@pytest.mark.drill
def test_a_week(clone: Path, commands: Package, notices: list[Notice]) -> None:
    everything = ["prepare", "train", "register"]
    assert day(clone) == ("COMPLETED", "Promoted", everything)
    assert day(clone) == ("COMPLETED", "Skipped", [])
    commands.watched.append("rubbish")
    assert day(clone) == ("FAILED", "Refused", ["prepare"])
    assert day(clone) == ("FAILED", "Refused", [])  # the refused data is still prepared
    assert day(clone, accept_data=True) == ("COMPLETED", "NotPromoted", ["train", "register"])
    assert day(clone) == ("COMPLETED", "Skipped", [])
    commands.watched.append("good 2")
    assert day(clone, warm_start=True) == ("COMPLETED", "Promoted", everything)
    assert (clone / "start").read_text(encoding="utf-8") == "models:/toy/1"
    assert day(clone, warm_start=True) == ("COMPLETED", "Skipped", [])  # although there is a new champion
    assert [notice.title.rpartition(" ")[2] for notice in notices] == ["Promoted", "Refused", "NotPromoted", "Promoted"]
    assert "pairs is 3, was 100; it may be 50 to 200" in notices[1].text()


def test_each_stage_is_reported_once(clone: Path, commands: Package, notices: list[Notice]) -> None:
    state: State[Any] = retrain(clone, return_state=True)
    assert [(result.stage, result.what) for result in state.result()] == [
        ("prepare_corpus", "run"), ("train_model", "run"), ("register_model", "run")
    ]  # fmt: skip
    with get_client(sync_client=True) as client:
        run = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
        names = [task.name for task in client.read_task_runs(flow_run_filter=run)]
        artifacts = {each.key: each.description for each in client.read_artifacts(flow_run_filter=run)}
    assert sorted(names) == [
        "guard the data", "look for new data", "prepare_corpus", "publish", "register_model", "train_model"
    ]  # fmt: skip
    assert set(artifacts) == {"data-guard", "retraining", "training-result"}
    assert all(artifacts.values())


def test_accepted_data_stays_accepted_if_training_fails(clone: Path, commands: Package, notices: list[Notice]) -> None:
    commands.watched.append("rubbish")
    (clone / "dvc.yaml").write_text(DAG.replace("cat corpus", "exit 1; cat corpus"), encoding="utf-8")
    assert day(clone, accept_data=True) == ("FAILED", "Failed", ["prepare", "train"])
    (clone / "dvc.yaml").write_text(DAG, encoding="utf-8")
    assert day(clone) == ("COMPLETED", "NotPromoted", ["train", "register"])


def test_a_source_that_does_not_answer_is_tried_again(
    clone: Path, commands: Package, notices: list[Notice], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "DELAY", 0.05)
    silence = CommandError("toy: no answer", os.EX_TEMPFAIL)
    commands.fails += [silence] * tasks.TRIES
    assert day(clone) == ("FAILED", "Unreachable", [])
    assert [notice.happened for notice in notices] == ["toy: no answer"]
    commands.fails += [silence]
    assert day(clone)[1] == "Promoted"


def test_a_second_run_is_busy_and_sends_no_notice(clone: Path, commands: Package, notices: list[Notice]) -> None:
    with hold_clone(clone):
        assert day(clone) == ("CANCELLED", "Busy", [])
    assert notices == []


def test_a_failed_publication_is_completed_by_the_next_run(
    clone: Path, commands: Package, notices: list[Notice], monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("git") is None:
        pytest.skip("needs git")
    wanted = {"commit": "tag"}
    assert day(clone, **wanted)[:2] == ("FAILED", "NotPublished")  # there is no Git repository
    assert "toy version 1 is champion" in notices[-1].happened
    for words in (
        ["init", "-q"],
        ["add", "dvc.yaml"],
        ["-c", "user.name=a", "-c", "user.email=b@c", "commit", "-qm", "a"],
    ):
        subprocess.run(["git", *words], cwd=clone, check=True)
    assert day(clone, **wanted) == ("COMPLETED", "Promoted", [])
    tags = subprocess.run(["git", "tag"], cwd=clone, check=True, capture_output=True, text=True).stdout
    assert tags.split() == ["toy/1"]
    assert day(clone, **wanted) == ("COMPLETED", "Skipped", [])


def test_file_times_do_not_matter(clone: Path, commands: Package, notices: list[Notice]) -> None:
    everything = ["prepare", "train", "register"]
    assert day(clone) == ("COMPLETED", "Promoted", everything)
    for year in (2001, 2041):
        moment = datetime(year, 1, 1, tzinfo=UTC).timestamp()
        for path in clone.rglob("*"):
            if path.is_file() and ".dvc" not in path.parts:
                os.utime(path, (moment, moment))
        assert day(clone) == ("COMPLETED", "Skipped", [])
        commands.watched.append(f"good {year}")
        source = clone / "source"
        source.write_text(commands.watched[-1], encoding="utf-8")
        os.utime(source, (moment, moment))
        assert day(clone) == ("COMPLETED", "Promoted", everything)
    assert len(notices) == 3


def test_a_rollback_sends_a_notice(clone: Path, commands: Package, notices: list[Notice]) -> None:
    (clone / "scratch").mkdir()
    state: State[Any] = rollback("it drops numbers", root=clone, return_state=True)
    assert (state.type.value, state.name, state.message) == (
        "COMPLETED", "RolledBack", "toy: version 1 is the champion again"
    )  # fmt: skip
    rollback("it is rude", "3", clone)
    assert commands.asked == [("--because", "it drops numbers"), ("3", "--because", "it is rude")]
    assert [notice.happened.splitlines()[-1] for notice in notices] == [
        "Because: it drops numbers",
        "Because: it is rude",
    ]
