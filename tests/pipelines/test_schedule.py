"""The deployments of prefect.yaml, served from one process with its own server."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client

from pipelines import ROOT
from pipelines.deployments import When, read_deployments, settle
from pipelines.prefect_cli import API, NOTE, find_schedule
from pipelines.schedule import PORT_VARIABLE, read_port
from pipelines.supervision.prefect_server import ScheduleError
from tests.no_network.sitecustomize import NO_NETWORK
from tests.pipelines.supervision.test_recovery import marked
from tests.templates import give_prefect_database

DAG = """
stages:
  prepare_corpus: {cmd: echo prepare >> runs; cp params.yaml corpus, deps: [params.yaml], outs: [corpus]}
  train_model: {cmd: echo train >> runs; cp corpus model, deps: [corpus], outs: [model], meta: {gpu: true}}
"""
COMMANDS = """
import json, sys
says = {"watch": {"sources": [], "changed": False}, "guard": {"ok": True, "baseline": None, "findings": []}}
print(json.dumps(says[sys.argv[1]]))
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder with stand-ins for `seqloom` commands: sources without news, and a guard that accepts everything."""
    for module, text in (("cli", COMMANDS), ("stages", "")):
        folder = tmp_path / "package" / "seqloom" / module
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()  # without it, the real package of that name would be found first
        (folder / "__main__.py").write_text(text, encoding="utf-8")
    # Other modules, which flows import in their own process, are the real ones.
    path = f"__path__.append({str(ROOT / 'src' / 'seqloom')!r})\n"
    (tmp_path / "package" / "seqloom" / "__init__.py").write_text(path, encoding="utf-8")
    return tmp_path / "package"


def ask(url: str, path: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"{url}/api/{path}", json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


@pytest.mark.parametrize(
    ("given", "variable", "port"),
    [(None, None, 4200), (None, "", 4200), (None, "4300", 4300), ("0", "4300", 0), ("4301", "rubbish", 4301)],
)
def test_the_port_comes_from_the_argument_the_environment_or_is_4200(
    given: str | None, variable: str | None, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PORT_VARIABLE, raising=False)
    if variable is not None:
        monkeypatch.setenv(PORT_VARIABLE, variable)
    assert read_port(given) == port


@pytest.mark.parametrize(
    ("words", "environment", "message"),
    [
        (["--port", "http"], {}, "--port is 'http'; valid is a whole number from 0 to 65535"),
        (["--port", "-1"], {}, "--port is '-1'; valid is"),
        ([], {PORT_VARIABLE: "65536"}, "PREFECT_SERVER_API_PORT is '65536'; valid is a whole number from 0 to 65535"),
    ],
)
def test_a_wrong_port_is_reported_in_one_line(words: list[str], environment: dict[str, str], message: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", "schedule", *words], env={**os.environ, API: "", **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {message}")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("when", "message"),
    [
        (When(cron="at three"), "'at three' is not a cron expression; valid is, for example, '30 2 * * 1-5'"),
        (
            When(timezone="Europe/Bonn"),
            "'Europe/Bonn' is not a time zone; valid are names such as UTC and Europe/Berlin",
        ),
        (When(every=0), "--every is 0; valid is a number of seconds above 0"),
    ],
)
def test_a_wrong_schedule_is_reported(root: Path, when: When, message: str) -> None:
    with pytest.raises(ScheduleError, match=f"^{re.escape(message)}$"):
        read_deployments(root, when)


def test_every_deployment_is_in_the_manual(root: Path) -> None:
    names = {f"{each.flow_name}/{each.name}" for each in read_deployments(root, When())}
    assert names == {"retrain/nightly", "train/once", "rollback/champion", "sweep/settings"}
    manual = (root / "docs" / "SCHEDULE.md").read_text(encoding="utf-8")
    assert {name for name in names if name not in manual} == set()


@pytest.fixture
def server(prefect_server: str) -> Iterator[SyncPrefectClient]:
    """A client of the server; deployments made by the test are removed afterwards."""
    with get_client(sync_client=True) as client:
        yield client
        for each in client.read_deployments():
            client.delete_deployment(each.id)


@pytest.mark.slow
def test_only_deployments_of_this_clone_that_are_no_longer_served_are_removed(
    root: Path, tmp_path: Path, server: SyncPrefectClient
) -> None:
    def deploy(name: str, clone: Path, entrypoint: str = "pipelines.retrain.retrain") -> UUID:
        flow = server.create_flow_from_name("retrain")
        return server.create_deployment(flow, name, parameters={"root": str(clone)}, entrypoint=entrypoint)

    former = deploy("seqloom", root)
    kept = {deploy("nightly", root), deploy("other", tmp_path), deploy("theirs", root, "work/x.py:y")}
    settle(root, read_deployments(root, When()))
    known = {each.id for each in server.read_deployments()}
    assert former not in known
    assert kept <= known


@pytest.mark.slow
def test_a_paused_deployment_stays_paused_when_it_is_served_again(root: Path, server: SyncPrefectClient) -> None:
    def serve() -> Any:
        deployments = read_deployments(root, When())
        settle(root, deployments)
        identity = next(each for each in deployments if each.name == "nightly").apply()
        return server.read_deployment(identity)

    nightly = serve()
    assert [schedule.active for schedule in nightly.schedules] == [True]
    server.update_deployment_schedule(nightly.id, nightly.schedules[0].id, active=False)
    assert [schedule.active for schedule in serve().schedules] == [False]
    server.resume_deployment(nightly.id)
    server.update_deployment_schedule(nightly.id, serve().schedules[0].id, active=True)
    server.pause_deployment(nightly.id)
    assert serve().paused
    server.resume_deployment(nightly.id)
    server.update_deployment_schedule(nightly.id, serve().schedules[0].id, active=True)
    nightly = serve()
    assert not nightly.paused
    assert [schedule.active for schedule in nightly.schedules] == [True]


PATIENCE = 240.0  # seconds for a server and a flow to start


class Schedule:
    """`make schedule` in a clone: its process, its output and its server."""

    def __init__(self, clone: Path, package: Path, root: Path, *words: str, **environment: str) -> None:
        shutil.copy(root / "prefect.yaml", clone)
        give_prefect_database(clone / ".prefect")
        self.clone, self.log, self.url = clone, clone / "log", ""
        own = {name: value for name, value in os.environ.items() if name != API}
        own |= {"PREFECT_HOME": str(clone / ".prefect"), "PREFECT_RUNNER_POLL_FREQUENCY": "1"}
        own |= {"PYTHONPATH": os.pathsep.join([NO_NETWORK, str(package), str(root)]), **environment}
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pipelines", "schedule", *words, "--root", str(clone)],
                cwd=clone, env=own, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip

    def wait_for(self, reached: Callable[[], Any]) -> Any:
        """Wait until `reached` returns a true value, and return it."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self.process.poll() is None:
            time.sleep(0.3)
            words = self.log.read_text(encoding="utf-8").replace(";", " ").split()
            self.url = next((word for word in words if word.startswith("http://")), "")
            with suppress(OSError):  # a busy server may not answer in time
                if self.url and (found := reached()):
                    return found
        raise AssertionError(self.log.read_text(encoding="utf-8"))

    def deployments(self) -> dict[str, Any]:
        """Wait for all deployments and return them by name."""
        return {each["name"]: each for each in self.wait_for(self._all)}

    def _all(self) -> Any:
        found = ask(self.url, "deployments/filter", {})
        return found if len(found) == 4 else None

    def end(self) -> None:
        """Kill all of its processes."""
        for pid in [*map(int, _flows_of(self.clone)), self.process.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


@pytest.mark.slow
@pytest.mark.drill
def test_a_scheduled_run_completes_and_nothing_outlives_a_schedule_that_is_killed(
    make_repository: Callable[[str], Path], package: Path, root: Path
) -> None:
    clone = make_repository(DAG)
    schedule = Schedule(clone, package, root, "--every", "2", "--port", "0")

    def done() -> list[Any]:
        runs = ask(schedule.url, "flow_runs/filter", {})
        return [run for run in runs if run["state_name"] == "Completed" and run["auto_scheduled"]]

    try:
        schedule.wait_for(done)
        assert (clone / "runs").read_text(encoding="utf-8").split() == ["prepare", "train"]
        deployments = schedule.deployments()
        limits = {each["name"]: each["limit"] for each in ask(schedule.url, "v2/concurrency_limits/filter", {})}
        serving = json.loads((clone / NOTE).read_bytes())
        os.kill(int(serving["process"].partition(":")[0]), signal.SIGKILL)
        assert schedule.process.wait(60) == 128 + signal.SIGKILL
        assert limits["gpu"] == 1
        assert sorted(each["entrypoint"] for each in deployments.values()) == [
            f"pipelines.{flow}.{flow}" for flow in ("retrain", "rollback", "sweep", "train")
        ]
        assert all(each["concurrency_options"]["collision_strategy"] == "CANCEL_NEW" for each in deployments.values())
        asked = deployments["nightly"]["parameter_openapi_schema"]["properties"]
        assert all(asked[name]["description"] for name in ("warm_start", "accept_data", "push", "commit"))
        end = time.monotonic() + 60
        while _answers(schedule.url) and time.monotonic() < end:
            time.sleep(0.2)
        assert not _answers(schedule.url)  # the server has ended with it
        assert find_schedule(clone) is None
    finally:
        schedule.end()
    assert marked(clone) == []


PATIENT = """
stages:
  train_model:
    cmd: trap 'echo half > checkpoint; exit 1' INT; touch at_work; while true; do sleep 0.1; done
    deps: [params.yaml]
    outs: [model]
"""


@pytest.mark.slow
@pytest.mark.drill
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_a_schedule_with_its_run_and_all_processes(
    number: signal.Signals, status: int, make_repository: Callable[[str], Path], package: Path, root: Path
) -> None:
    clone = make_repository(PATIENT)
    schedule = Schedule(clone, package, root, **{PORT_VARIABLE: "0"})
    try:
        once = schedule.deployments()["once"]["id"]
        schedule.wait_for(lambda: ask(schedule.url, f"deployments/{once}/create_flow_run", {}))
        schedule.wait_for(lambda: (clone / "at_work").exists())
        schedule.process.send_signal(number)
        assert schedule.process.wait(120) == status
        assert _flows_of(clone) == []
    finally:
        schedule.end()
    output = schedule.log.read_text(encoding="utf-8")
    assert "seqloom: ending; active runs are cancelled" in output
    assert "Warning" not in output
    assert "Traceback" not in output
    assert (clone / "checkpoint").read_text(encoding="utf-8") == "half\n"
    assert marked(clone) == []
    assert not _answers(schedule.url)
    assert not (clone / NOTE).exists()
    with sqlite3.connect(f"file:{clone}/.prefect/prefect.db?mode=ro", uri=True) as database:
        (ended,) = database.execute("select state_type from flow_run where start_time is not null").fetchall()
        paused = database.execute("select count(*) from deployment where paused").fetchone()
    database.close()
    assert ended == ("CANCELLED",)
    assert paused == (0,)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/api/health", timeout=5):
            return True
    except OSError:
        return False


def _flows_of(clone: Path) -> list[str]:
    """Return the process numbers of flow runs of the clone."""
    wanted = os.fsencode(f"PREFECT_HOME={clone}/.prefect")
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0") and int(folder.name) != os.getpid():
                found.append(folder.name)
        except OSError:
            continue
    return found
