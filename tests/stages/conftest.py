import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from seqloom.corpus.keys import fraction_of
from seqloom.gate.performance import LoadedVersion
from seqloom.params import Params, load_params
from tests.stages.registering import DE, FR
from tests.stages.toy_training import give_toy_project, give_trained_project
from tests.workspaces import give_registered, give_store, made_pairs


@pytest.fixture
def empty_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with an empty data/local."""
    monkeypatch.chdir(tmp_path)
    Path("data/local").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def toy_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to train in, which is also the working folder; see `toy_training`."""
    monkeypatch.chdir(tmp_path)
    give_toy_project(tmp_path)
    return tmp_path


@pytest.fixture
def trained_project(toy_project: Path) -> Path:
    """Such a folder on which train_model has run."""
    give_trained_project(toy_project)
    return toy_project


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    give_store(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def registered_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with one registered version, made before a test replaces any function."""
    folder = tmp_path_factory.mktemp("registered")
    give_registered(folder)
    return folder


@pytest.fixture
def version_1(registered_once: Path, workspace: Path) -> Params:
    """The params of the workspace, in which version 1 is registered."""
    shutil.copytree(registered_once, workspace, dirs_exist_ok=True)
    return load_params(workspace / "params.yaml")


@pytest.fixture
def skilled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions whose translations match their made-up BLEU: that share of the test segments is correct."""

    def load(folder: Path, device: str) -> Any:
        skill = float((folder / "skill").read_text())
        answers = {pair.source: pair.target for way in (DE, FR) for pair in made_pairs([way])}

        def write(sources: Sequence[str], *_: object) -> list[str]:
            chosen = [fraction_of(source, "skill") < skill for source in sources]
            return [answers[each] if right else each[::-1] for each, right in zip(sources, chosen, strict=True)]

        return SimpleNamespace(translate=write, size=1000)

    monkeypatch.setattr(LoadedVersion, "load", load)


@pytest.fixture
def untried(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow neither tries the example of a model that it logs nor searches all installed packages.

    The first is a quarter of the time of a registration, the second takes a process two seconds at its first one.
    """
    monkeypatch.setattr("mlflow.models.utils._validate_serving_input", lambda **_: None)
    monkeypatch.setattr("mlflow.utils.requirements_utils._MODULES_TO_PACKAGES", {})
