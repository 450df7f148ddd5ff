"""A workspace with a registered model, and ways to call the command line in it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from seqloom.cli import main as cli
from seqloom.translation.texts import TextTranslator
from tests.finished import give_registered


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once for all files."""
    root = tmp_path_factory.mktemp("made")
    give_registered(root)
    return root


@pytest.fixture
def workspace(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of the test: a clone in which every stage has run."""
    monkeypatch.chdir(made)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return made


@pytest.fixture
def registered(workspace: Path) -> TextTranslator:
    """The champion."""
    (folder,) = (workspace / "mlartifacts").rglob("artifacts/artifacts/model")
    return TextTranslator.load(folder)


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs what must fail, and returns its one line."""

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
