"""A run with nothing to do does not use Prefect; everything else is left to the flow."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from dvc.repo import Repo

from pipelines import cli_client
from pipelines.errors import CommandError
from pipelines.supervision.clone_lock import hold_clone
from pipelines.unchanged import report_unchanged
from tests.pipelines.test_retrain import Answer

DAG = """
stages:
  train_model: {cmd: cp source model, deps: [source], outs: [model]}
"""


class Registry:
    """A stand-in for the registry: versions by fingerprint, or an error."""

    def __init__(self) -> None:
        self.fingerprints = ["f"]
        self.fault: CommandError | None = None

    def __call__(self, root: Path, module: str, *arguments: str) -> Answer:
        versions = [
            {"name": "toy", "version": "1", "aliases": ["champion"], "fingerprint": each} for each in self.fingerprints
        ]
        return Answer(json.dumps({"versions": versions}), self.fault)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    stand_in = Registry()
    monkeypatch.setattr(cli_client, "Call", stand_in)
    return stand_in


@pytest.fixture
def clone(make_repository: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone whose one stage has run, and whose result is registered."""
    folder = make_repository(DAG)
    (folder / "source").write_text("1", encoding="utf-8")
    (folder / "metrics").mkdir()
    (folder / "metrics" / "registration.json").write_text('{"fingerprint": "f"}', encoding="utf-8")
    monkeypatch.chdir(folder)  # DVC reproduces what is in the working folder
    with Repo() as repo:
        repo.reproduce()
    return folder


def test_the_result_is_printed(clone: Path, registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    assert report_unchanged(clone)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "nothing to do: DVC finds no stage changed (1 up to date)"
    assert "  registered   toy version 1 (champion)" in lines
    assert "  train_model  up to date" in lines


def test_a_changed_stage_is_left_to_the_flow(
    clone: Path, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    (clone / "source").write_text("2", encoding="utf-8")
    assert not report_unchanged(clone)
    assert capsys.readouterr().out == ""


def test_a_result_that_is_not_registered_is_left_to_the_flow(clone: Path, registry: Registry) -> None:
    registry.fingerprints = ["another"]
    assert not report_unchanged(clone)
    (clone / "metrics" / "registration.json").unlink()
    assert not report_unchanged(clone)


def test_a_registry_that_does_not_answer_is_left_to_the_flow(clone: Path, registry: Registry) -> None:
    registry.fault = CommandError("the registry cannot be reached")
    assert not report_unchanged(clone)


def test_a_busy_clone_is_left_to_the_flow(clone: Path, registry: Registry) -> None:
    with hold_clone(clone):
        assert not report_unchanged(clone)


def test_after_a_kill_everything_is_left_to_the_flow(clone: Path, registry: Registry) -> None:
    (clone / "scratch").mkdir()
    (clone / "scratch" / "flow.lock").write_text("123", encoding="utf-8")
    assert not report_unchanged(clone)


def test_it_does_not_import_prefect() -> None:
    code = "import sys, pipelines.unchanged; sys.exit('prefect' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
