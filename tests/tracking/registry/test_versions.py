"""A version from an untrusted source: none of its code is executed."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from seqloom.errors import RegistryError
from seqloom.stages.download_pretrained import take_version
from seqloom.tracking.client.store import connect
from seqloom.tracking.registry.versions import Reference, fetch_model, list_versions
from tests.workspaces import give_store


class Stranger:
    """Makes the folder `ran` when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("ran",)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with an untrusted version whose python_model is a pickle."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    give_store(tmp_path)
    model = tmp_path / "theirs"
    model.mkdir()
    (model / "MLmodel").write_text(
        "flavors:\n  python_function:\n    loader_module: mlflow.pyfunc.model\n    python_model: python_model.pkl\n"
        "    python_version: 3.11.0\nmodel_uuid: 0123\n"
    )
    for name in ("python_model.pkl", "model.pkl"):
        (model / name).write_bytes(pickle.dumps(Stranger()))
    client = connect(tmp_path, create=False).client
    client.create_registered_model("theirs")
    client.create_model_version("theirs", source=model.as_uri())
    client.set_registered_model_alias("theirs", "champion", "1")
    return tmp_path


def test_a_pickled_python_model_is_never_loaded(workspace: Path) -> None:
    store = connect(workspace, create=False)
    assert [version.version for version in list_versions(store, Reference("theirs"))] == ["1"]
    for wanted in (Reference("theirs", alias="champion"), Reference("theirs", number="1")):
        with pytest.raises(
            RegistryError, match="theirs version 1 was not registered by seqloom: it holds no model folder"
        ):
            fetch_model(store, wanted)
    with pytest.raises(RegistryError, match=r"train\.start: theirs version 1 was not registered by seqloom"):
        take_version("models:/theirs/1", workspace / "into", lambda progress: None)
    assert not (workspace / "ran").exists()


def test_translating_with_it_fails_with_one_line(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from seqloom.cli import main as cli

    with pytest.raises(SystemExit) as left:
        cli.main(["translate", "--model", "models:/theirs@champion", "Hi"])
    assert left.value.code == 1
    assert "theirs version 1 was not registered by seqloom" in capsys.readouterr().err
    assert not (workspace / "ran").exists()
