"""Deployments as prefect.yaml has them, served from one process with a server of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.test_recovery import marked

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
    """A folder with a stand-in for the package: sources that have nothing new, and a guard that likes everything."""
    for module, text in (("cli", COMMANDS), ("stages", "")):
        folder = tmp_path / "package" / "seqloom" / module
        folder.mkdir(parents=True)
        (folder / "__main__.py").write_text(text, encoding="utf-8")
        (folder.parent / "__init__.py").touch()
    return tmp_path / "package"


def ask(url: str, path: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"{url}/api/{path}", json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


@pytest.mark.slow
def test_a_scheduled_run_completes_and_nothing_outlives_a_schedule_that_is_killed(
    make_repository: Callable[[str], Path], package: Path, root: Path
) -> None:
    clone = make_repository(DAG)
    shutil.copy(root / "prefect.yaml", clone)
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    environment |= {"PREFECT_HOME": str(clone / ".prefect"), "PREFECT_RUNNER_POLL_FREQUENCY": "1"}
    environment |= {"PYTHONPATH": f"{package}{os.pathsep}{root}"}
    command = [sys.executable, "-m", "pipelines", "schedule", "--every", "2", "--port", "0", "--root", str(clone)]
    with (clone / "said").open("wb") as out:
        schedule = subprocess.Popen(
            command, cwd=clone, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip
    said = clone / "said"
    try:
        end = time.monotonic() + 240
        url, done = "", []
        while not done and time.monotonic() < end and schedule.poll() is None:
            time.sleep(0.5)
            words = said.read_text(encoding="utf-8").split()
            url = next((word for word in words if word.startswith("http://")), "")
            runs = ask(url, "flow_runs/filter", {}) if url else []
            done = [run for run in runs if run["state_name"] == "Completed" and run["auto_scheduled"]]
        assert done, said.read_text(encoding="utf-8")
        assert (clone / "runs").read_text(encoding="utf-8").split() == ["prepare", "train"]
        deployments = ask(url, "deployments/filter", {})
        limits = {each["name"]: each["limit"] for each in ask(url, "v2/concurrency_limits/filter", {})}
    finally:
        os.kill(schedule.pid, signal.SIGKILL)
        schedule.wait()
    assert limits["gpu"] == 1
    assert sorted(each["entrypoint"] for each in deployments) == [
        f"pipelines.{flow}.{flow}" for flow in ("retrain", "rollback", "sweep", "train")
    ]
    assert all(each["concurrency_options"]["collision_strategy"] == "CANCEL_NEW" for each in deployments)
    (described,) = (each for each in deployments if "retrain" in each["entrypoint"])
    asked = described["parameter_openapi_schema"]["properties"]
    assert all(asked[name]["description"] for name in ("warm_start", "accept_data", "push", "commit"))
    end = time.monotonic() + 60
    while _answers(url) and time.monotonic() < end:
        time.sleep(0.2)
    assert not _answers(url)  # the server has gone with it
    for pid in map(int, _flows_of(clone)):
        os.kill(pid, signal.SIGKILL)
    assert marked(clone) == []


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/api/health", timeout=5):
            return True
    except OSError:
        return False


def _flows_of(clone: Path) -> list[str]:
    """Flow runs that outlive their schedule for as long as they have to do."""
    wanted = os.fsencode(f"PREFECT_HOME={clone}/.prefect")
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0") and int(folder.name) != os.getpid():
                found.append(folder.name)
        except OSError:
            continue
    return found
