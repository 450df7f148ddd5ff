from pathlib import Path

import pytest

from tests.stages.toy_training import give_toy_project


@pytest.fixture
def toy_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to train in, which is also the working folder; see `toy_training`."""
    monkeypatch.chdir(tmp_path)
    give_toy_project(tmp_path)
    return tmp_path
