"""How `seqloom` commands are called and their output is read, with a stand-in for the package."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipelines import cli_client
from pipelines.cli_client import (
    RegistryLookup,
    WatchResult,
    find_champion,
    find_registered,
    guard,
    roll_back,
    set_params,
    watch,
)
from pipelines.errors import CommandError, is_transient
from pipelines.supervision.final_states import state_name
from pipelines.supervision.processes import CLONE
from tests.no_network.sitecustomize import NO_NETWORK

ECHO = """
import json, os, pathlib, sys
answer = json.loads(pathlib.Path("says.json").read_text())
with open("asked", "a") as file:
    print(json.dumps([*sys.argv[1:], os.environ["{clone}"]]), file=file)
print(answer["out"])
print(answer["err"], file=sys.stderr)
sys.exit(answer["status"])
"""
Says = Callable[..., None]


@pytest.fixture
def says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Says:
    """Set the output of the next command, whichever it is."""
    for module in ("cli", "stages"):
        folder = tmp_path / "package" / "seqloom" / module
        folder.mkdir(parents=True)
        (folder / "__main__.py").write_text(ECHO.format(clone=CLONE), encoding="utf-8")
        (folder.parent / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", f"{NO_NETWORK}{os.pathsep}{tmp_path / 'package'}")

    def say(out: object = "", err: str = "", status: int = 0) -> None:
        text = out if isinstance(out, str) else json.dumps(out)
        (tmp_path / "says.json").write_text(json.dumps({"out": text, "err": err, "status": status}), encoding="utf-8")

    return say


def asked(root: Path) -> list[list[str]]:
    lines = (root / "asked").read_text(encoding="utf-8").splitlines()
    assert all(json.loads(line)[-1] == str(root) for line in lines)  # the mark of the clone
    return [json.loads(line)[:-1] for line in lines]


def test_settings_corpora_and_a_label_are_set_by_one_command(tmp_path: Path, says: Says) -> None:
    says("train.lr: 1 -> 2")
    set_params(tmp_path, ["train.lr=2", "register.label=a b"], ["x", "y"])
    set_params(tmp_path)  # calls nothing
    assert asked(tmp_path) == [["set", "--corpora", "x,y", "train.lr=2", "register.label=a b"]]


def test_an_error_has_the_message_of_the_command(tmp_path: Path, says: Says) -> None:
    says(err="seqloom: error: a is wrong\nseqloom: error: b, too", status=1)
    with pytest.raises(CommandError, match=r"^a is wrong\nb, too$") as refused:
        roll_back(tmp_path, "3", "it is rude")
    assert not is_transient(refused.value)
    says(err="error: no answer", status=os.EX_TEMPFAIL)
    with pytest.raises(CommandError, match=r"^no answer$") as refused:
        watch(tmp_path)
    assert is_transient(refused.value)


def test_the_result_of_watch_names_the_sources_that_changed(tmp_path: Path, says: Says) -> None:
    sources = [{"corpus": name, "changed": name == "b", "why": "it grew"} for name in "ab"]
    says({"sources": sources, "changed": True})
    assert watch(tmp_path) == WatchResult(["b: it grew"], 2)
    assert str(WatchResult([], 2)) == "2 sources checked, none changed"


@pytest.mark.parametrize("ok", [True, False])
def test_the_guard_may_exit_with_3_and_nothing_else(tmp_path: Path, says: Says, ok: bool) -> None:
    says({"ok": ok, "baseline": "7", "findings": []}, status=0 if ok else 3)
    assert guard(tmp_path)["ok"] == ok
    says(err="error: no metrics", status=1)
    with pytest.raises(CommandError, match="no metrics"):
        guard(tmp_path)


def test_the_result_and_the_champion_are_found_among_the_versions(tmp_path: Path, says: Says) -> None:
    versions: list[dict[str, Any]] = [
        {"name": "m", "version": "2", "fingerprint": "ff", "aliases": ["candidate"]},
        {"name": "m", "version": "1", "fingerprint": "ee", "aliases": ["champion"]},
    ]
    says({"versions": versions})
    assert find_registered(tmp_path) is None  # nothing is registered yet
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "registration.json").write_text('{"fingerprint": "ff"}', encoding="utf-8")
    assert find_registered(tmp_path) == versions[0]
    assert find_champion(tmp_path) == "models:/m/1"
    says({"versions": []})
    assert find_registered(tmp_path) is find_champion(tmp_path) is None
    says(err="error: no answer", status=os.EX_TEMPFAIL)
    with pytest.raises(CommandError, match=r"^no answer$"):
        find_registered(tmp_path)


def test_a_lookup_that_nobody_waits_for_is_stopped(tmp_path: Path, says: Says) -> None:
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "registration.json").write_text('{"fingerprint": "ff"}', encoding="utf-8")
    os.mkfifo(tmp_path / "says.json")  # nobody writes to it, so the command would wait for ever
    with RegistryLookup(tmp_path):
        assert running_commands(tmp_path) == 1
    assert running_commands(tmp_path) == 0


def running_commands(root: Path) -> int:
    """Return the number of child processes that work in `root`."""
    children = psutil.Process().children()
    return sum(child.cwd() == str(root) for child in children if child.status() != psutil.STATUS_ZOMBIE)


def test_a_command_that_hangs_is_stopped(tmp_path: Path, says: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_client, "LONGEST", 1.5)
    os.mkfifo(tmp_path / "says.json")  # nobody writes to it
    with pytest.raises(CommandError, match=r"^seqloom\.cli watch --json --pin took longer than 0\.025 minutes") as late:
        watch(tmp_path)
    assert state_name(late.value) == "TimedOut"
