"""`python -m pipelines`: which flow runs with which arguments, and when Prefect is not needed."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import __main__ as command
from pipelines.prefect_cli import API


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "pipelines", *arguments], capture_output=True, text=True, check=False)


def test_an_unknown_flow_is_refused_with_the_list_of_flows(root: Path) -> None:
    done = run("trian")
    assert done.returncode == 2
    assert "invalid choice: 'trian' (choose from" in done.stderr
    assert "'prefect'" in done.stderr
    for flow in (*command.FLOWS, "schedule"):
        assert repr(flow) in done.stderr
        assert (root / "pipelines" / f"{flow}.py").is_file()


@pytest.mark.parametrize(
    ("arguments", "called"),
    [
        (["train", "train.lr=1"], "train called with ['train.lr=1']"),
        (["retrain", "--help"], "retrain called with ['--help']"),
        (["rollback", "--because", "it is rude"], "rollback called with ['--because', 'it is rude']"),
        (["prefect", "version"], "prefect_cli called with ['version']"),
    ],
)
def test_a_flow_gets_its_arguments(arguments: list[str], called: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[str] = []
    monkeypatch.setattr(sys, "argv", ["pipelines", *arguments])
    monkeypatch.setattr(command, "_in_own_session", lambda work: work())
    monkeypatch.setattr(command, "_call", lambda name, given: found.append(f"{name} called with {given}"))
    command.main()
    assert found == [called]


@pytest.mark.parametrize(
    ("arguments", "server", "unchanged", "seen"),
    [
        (["train"], "", True, ["asked"]),
        (["train"], "", False, ["asked", "train"]),
        (
            ["train"],
            "http://prefect.example.org/api",
            True,
            ["train"],
        ),  # other people may watch it, so every run is recorded
        (["train", "--label", "blue"], "", True, ["train"]),
        (["retrain"], "", True, ["retrain"]),
    ],
)
def test_only_a_plain_train_without_a_server_is_answered_without_prefect(
    arguments: list[str], server: str, unchanged: bool, seen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    monkeypatch.setattr(sys, "argv", ["pipelines", *arguments])
    monkeypatch.setenv(API, server)
    monkeypatch.setattr(command, "_in_own_session", lambda work: work())
    monkeypatch.setattr(command, "_call", lambda name, given: found.append(name))
    monkeypatch.setattr("pipelines.unchanged.report_unchanged", lambda root: found.append("asked") or unchanged)
    command.main()
    assert found == seen


def test_the_launcher_does_not_import_prefect() -> None:
    code = "import sys, pipelines.__main__; sys.exit(any(name.split('.')[0] == 'prefect' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_launcher_of_a_killed_flow_exits_with_128_and_the_signal() -> None:
    code = "import os, signal; from pipelines import __main__ as command\n"
    code += "command._in_own_session(lambda: os.kill(os.getpid(), signal.SIGKILL))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 128 + 9
