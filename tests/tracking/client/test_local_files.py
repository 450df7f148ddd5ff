import contextlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from seqloom.cli import main as cli
from seqloom.params import Params, load_params
from seqloom.progress import ignore
from seqloom.stages import register_model
from seqloom.tracking.client.library import MlflowClient, mlflow
from seqloom.tracking.client.local_files import LocalFiles, make_relative
from seqloom.tracking.client.store import connect, experiment_id
from seqloom.tracking.registry.versions import Reference, fetch_model, list_versions
from tests.templates import VARIABLE as TEMPLATES
from tests.workspaces import give_registered, give_store, spoil

URI = "models:/seqloom-en-de@champion"
TEXTS = ["Turn on the light", "Hello {name}"]
LOCATIONS = [
    ("experiments", "artifact_location"), ("runs", "artifact_uri"), ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", raising=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Params]:
    """A clone in which all stages have run, although in another folder."""
    root = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        params = give_registered(root)
    return root, params


@pytest.fixture(scope="module")
def expected(finished: tuple[Path, Params]) -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(finished[0])
        connect(finished[0], create=False)
        found: list[str] = mlflow.pyfunc.load_model(URI).predict(TEXTS)
    return found


def write_as_before(root: Path) -> None:
    """Make every location in the store of `root` absolute, as earlier versions wrote them."""
    with contextlib.closing(sqlite3.connect(root / "mlflow.db")) as store, store:
        for table, column in LOCATIONS:
            store.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, 6) WHERE {column} LIKE 'file:ml%'",
                (f"file://{quote(str(root))}/",),
            )
        store.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = 0", (f"{root}/mlruns/0",))


def locations(root: Path) -> Iterator[str]:
    with contextlib.closing(sqlite3.connect(root / "mlflow.db")) as store:
        for table, column in LOCATIONS:
            yield from (location for (location,) in store.execute(f"SELECT {column} FROM {table}"))


@pytest.fixture(params=["moved", "copied", "copied, original deleted"])
def away(request: pytest.FixtureRequest, finished: tuple[Path, Params], tmp_path: Path) -> tuple[Path, Path]:
    """A clone and its destination; `go` moves or copies it."""
    original = tmp_path / "original"
    shutil.copytree(finished[0], original)
    return original, tmp_path / "on the möve"


def go(request: pytest.FixtureRequest, original: Path, target: Path) -> None:
    how = request.node.callspec.params["away"]
    if how == "moved":
        original.rename(target)
        return
    shutil.copytree(original, target)
    if how == "copied":
        spoil(original)
    else:
        shutil.rmtree(original)


@pytest.mark.parametrize("before", [False, True], ids=["", "of an earlier version"])
def test_a_moved_or_copied_clone_uses_its_own_files(
    request: pytest.FixtureRequest,
    away: tuple[Path, Path],
    before: bool,
    expected: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    original, here = away
    if before:
        write_as_before(original)
    go(request, original, here)
    monkeypatch.chdir(here)

    cli.main(["translate", *TEXTS])
    assert capsys.readouterr().out.splitlines() == expected
    cli.main(["info", "--json"])
    (version,) = json.loads(capsys.readouterr().out)["versions"]
    assert (version["version"], version["aliases"]) == ("1", ["candidate", "champion"])
    cli.main(["history"])
    assert "1" in capsys.readouterr().out
    cli.main(["lineage", "--json", URI])
    assert json.loads(capsys.readouterr().out)["sources"]  # from an artifact of the run
    assert mlflow.pyfunc.load_model(URI).predict(TEXTS) == expected

    store = connect(here, create=False)
    assert all(location.startswith("file:ml") for location in locations(here))
    assert fetch_model(store, Reference("seqloom-en-de", alias="champion")).is_relative_to(here)
    assert {file.path for file in store.client.list_artifacts(version["run_id"])} >= {"params.yaml", "gate", "report"}
    register_model.run(load_params(Path("params.yaml")), ignore)
    assert [found.version for found in list_versions(store, Reference("seqloom-en-de"))] == ["1"]
    assert original.exists() == (request.node.callspec.params["away"] == "copied")


def test_a_registration_writes_no_absolute_path(finished: tuple[Path, Params]) -> None:
    root, _ = finished
    registered_in = os.environ[TEMPLATES].encode()
    assert sorted(set(locations(root)))[0].startswith("file:ml")
    assert registered_in not in (root / "mlflow.db").read_bytes()
    for path in (root / "mlartifacts").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert registered_in not in content, path
            assert path.name != "MLmodel" or b": /" not in content


def test_a_store_elsewhere_keeps_absolute_locations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared, clone = tmp_path / "shared", tmp_path / "clone"
    for folder in (shared, clone):
        folder.mkdir()
        give_store(folder)
    monkeypatch.chdir(clone)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{shared}/mlflow.db")
    store = connect(clone, create=True)
    assert not store.movable
    assert store.client.get_experiment(experiment_id(store, "x")).artifact_location == f"file://{shared}/mlartifacts"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", f"file://{tmp_path}/mlartifacts")
    store = connect(clone, create=True)
    assert not store.movable
    assert store.client.get_experiment(experiment_id(store, "x")).artifact_location == f"file://{tmp_path}/mlartifacts"


def test_only_locations_beside_the_store_become_relative(tmp_path: Path) -> None:
    give_store(tmp_path)
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    elsewhere = {"s3": "s3://bucket/mlartifacts", "disk": "file:///disk/mlartifacts", "odd": "/disk/files"}
    for name, location in elsewhere.items():
        client.create_run(client.create_experiment(name, artifact_location=location))
    client.create_experiment("ours", artifact_location=f"{tmp_path}/mlartifacts/ours")
    make_relative(tmp_path / "mlflow.db")
    found = {each.name: each.artifact_location for each in client.search_experiments()}
    assert found == elsewhere | {"ours": "file:mlartifacts/ours", "Default": "file:mlruns/0"}


def test_relative_locations_are_resolved_beside_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    uri = "sqlite:////a clone/mlflow.db"
    assert LocalFiles("file:mlartifacts/1/artifacts", uri).artifact_dir == "/a clone/mlartifacts/1/artifacts"
    assert LocalFiles("file:mlartifacts/1", "http://host").artifact_dir == f"{tmp_path}/mlartifacts/1"
    assert LocalFiles("file:///b/mlartifacts/1", uri).artifact_dir == "/b/mlartifacts/1"
    assert LocalFiles("file:other/1", uri).artifact_dir == "other/1"
    monkeypatch.setenv("_MLFLOW_SERVER_FILE_STORE", uri)  # as in a process of `mlflow server`
    assert LocalFiles("file:mlartifacts/1").artifact_dir == "/a clone/mlartifacts/1"
