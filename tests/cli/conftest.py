"""Fixtures: a workspace with a registered model, and a function that runs a failing command in it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from seqloom.cli import main as cli
from seqloom.translation.texts import TextTranslator
from tests.workspaces import give_registered


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace, built once per session."""
    root = tmp_path_factory.mktemp("made")
    give_registered(root)
    return root


@pytest.fixture
def workspace(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The workspace as the working folder; every stage has run in it."""
    monkeypatch.chdir(made)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return made


@pytest.fixture
def registered(workspace: Path) -> TextTranslator:
    """The champion, loaded."""
    (folder,) = (workspace / "mlartifacts").rglob("artifacts/artifacts/model")
    return TextTranslator.load(folder)


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """A function that runs a command which must fail, and returns its one-line error."""

    def run(*arguments: str, status: int = 1) -> str:
        with pytest.raises(SystemExit) as left:
            cli.main(arguments)
        assert left.value.code == status
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.startswith("seqloom: error: ")
        assert printed.err.count("\n") == 1
        return printed.err

    return run
