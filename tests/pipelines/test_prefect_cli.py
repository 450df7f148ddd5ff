"""Prefect's command line, connected to the server of this clone's schedule."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import prefect_cli
from pipelines.prefect_cli import API, NOTE, announced, find_schedule, main

URL = "http://127.0.0.1:4321/api"


@pytest.fixture
def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The arguments of each call of Prefect's command line for the clone `tmp_path`."""
    calls: list[list[str]] = []
    monkeypatch.setattr(prefect_cli, "ROOT", tmp_path)
    monkeypatch.setattr(os, "execv", lambda program, words: calls.append(words[1:]))
    monkeypatch.setenv(API, "")  # so that it is restored afterwards
    return calls


def test_a_schedule_is_found_while_it_runs(tmp_path: Path) -> None:
    assert find_schedule(tmp_path) is None
    with announced(tmp_path, URL):
        assert find_schedule(tmp_path) == URL
    assert find_schedule(tmp_path) is None


def test_the_file_of_a_killed_schedule_is_ignored(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    note = tmp_path / NOTE
    note.parent.mkdir()
    for content in (json.dumps({"api": URL, "process": f"{ended.pid}:1"}), '{"api": "', "[]", '{"api": 1}'):
        note.write_text(content, encoding="utf-8")
        assert find_schedule(tmp_path) is None


def test_a_command_goes_to_the_server_of_the_schedule(tmp_path: Path, called: list[list[str]]) -> None:
    with announced(tmp_path, URL):
        main(["deployment", "run", "retrain/nightly"])
    assert called == [["-m", "prefect", "deployment", "run", "retrain/nightly"]]
    assert os.environ[API] == URL


def test_a_server_named_by_the_environment_is_preferred(
    tmp_path: Path, called: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(API, "http://prefect.example.org/api")
    with announced(tmp_path, URL):
        main(["deployment", "ls"])
    assert os.environ[API] == "http://prefect.example.org/api"
    assert len(called) == 1


def test_without_a_schedule_the_error_says_how_to_start_one(called: list[list[str]]) -> None:
    with pytest.raises(
        SystemExit, match=r"^error: no schedule is running in this clone; start it with `make schedule`"
    ):
        main(["deployment", "ls"])
    assert called == []


@pytest.mark.parametrize("words", [[], ["version"], ["deployment", "run", "--help"]])
def test_a_command_that_needs_no_server_works_without_one(words: list[str], called: list[list[str]]) -> None:
    main(words)
    assert called == [["-m", "prefect", *words]]


def test_the_table_of_runs_is_wide_enough_for_their_ids(
    tmp_path: Path, called: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with announced(tmp_path, URL):
        main(["deployment", "ls"])
        assert os.environ["COLUMNS"] == "80"
        main(["flow-run", "ls"])
    assert os.environ["COLUMNS"] == "110"
