"""The command line of flows: what it takes, and that a look at the registry begins before Prefect is imported."""

import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from pipelines import __main__ as command
from pipelines.prefect_cli import API


def says(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "pipelines", *arguments], capture_output=True, text=True, check=False)


def test_an_unknown_flow_is_told_those_there_are(root: Path) -> None:
    done = says("trian")
    assert done.returncode == 2
    assert "invalid choice: 'trian' (choose from" in done.stderr
    assert "'prefect'" in done.stderr
    for flow in (*command.LOOKING, *command.OTHERS, "schedule"):
        assert repr(flow) in done.stderr
        assert (root / "pipelines" / f"{flow}.py").is_file()


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [
        (["train", "train.lr=1"], ["looked", "train called with ['train.lr=1']"]),
        (["retrain", "--push"], ["looked", "retrain called with ['--push']"]),
        (["retrain", "--help"], ["retrain called with ['--help']"]),
        (["rollback", "--because", "it is rude"], ["rollback called with ['--because', 'it is rude']"]),
    ],
)
def test_a_flow_gets_its_arguments_and_looks_ahead_where_it_will_look(
    arguments: list[str], seen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    monkeypatch.setattr(sys, "argv", ["pipelines", *arguments])
    monkeypatch.setattr(command, "_apart", lambda work: work())
    monkeypatch.setattr(command, "looking_ahead", lambda root: found.append("looked") or nullcontext())
    monkeypatch.setattr(command, "_call", lambda name, given: found.append(f"{name} called with {given}"))
    command.main()
    assert found == seen


@pytest.mark.parametrize(
    ("arguments", "server", "unchanged", "seen"),
    [
        (["train"], "", True, ["asked"]),
        (["train"], "", False, ["asked", "train"]),
        (["train"], "http://prefect.example.org/api", True, ["train"]),  # others look there: every run is recorded
        (["train", "--label", "blue"], "", True, ["train"]),
        (["retrain"], "", True, ["retrain"]),
    ],
)
def test_only_a_plain_run_without_a_server_may_do_without_prefect(
    arguments: list[str], server: str, unchanged: bool, seen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    monkeypatch.setattr(sys, "argv", ["pipelines", *arguments])
    monkeypatch.setenv(API, server)
    monkeypatch.setattr(command, "_apart", lambda work: work())
    monkeypatch.setattr(command, "looking_ahead", lambda root: nullcontext())
    monkeypatch.setattr(command, "_call", lambda name, given: found.append(name))
    monkeypatch.setattr("pipelines.unchanged.report_unchanged", lambda root: found.append("asked") or unchanged)
    command.main()
    assert found == seen


def test_the_launcher_does_not_import_prefect() -> None:
    code = "import sys, pipelines.__main__; sys.exit(any(name.split('.')[0] == 'prefect' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_flow_that_is_killed_leaves_with_its_signal() -> None:
    code = "import os, signal; from pipelines import __main__ as command\n"
    code += "command._apart(lambda: os.kill(os.getpid(), signal.SIGKILL))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 128 + 9
