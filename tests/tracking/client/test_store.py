import http.server
import json
import multiprocessing
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from seqloom.errors import RegistryError
from seqloom.tracking.client.library import MlflowException, mlflow
from seqloom.tracking.client.store import (
    NothingRegisteredError,
    connect,
    experiment_id,
    local_folder,
    registry_errors,
    without_password,
)
from tests.workspaces import give_store

FORK = multiprocessing.get_context("fork")  # a new interpreter would import MLflow for seconds


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_the_default_store_is_in_the_root_with_its_files_beside_it(tmp_path: Path) -> None:
    root = tmp_path / "with a space"
    root.mkdir()
    (root / ".mlflow.db.part").write_bytes(b"half of a database, of a process that was killed")
    store = connect(root, create=True)
    assert store.uri == f"sqlite:///{root}/mlflow.db"
    assert mlflow.get_tracking_uri() == store.uri
    experiment = store.client.get_experiment(experiment_id(store, "first"))
    assert experiment.artifact_location == "file:mlartifacts"
    assert local_folder(store, experiment.artifact_location) == root / "mlartifacts"
    assert experiment_id(store, "first") == experiment.experiment_id
    assert {path.name for path in root.iterdir()} <= {"mlflow.db", "mlflow.db.lock", "mlartifacts"}


def test_reading_creates_no_store(tmp_path: Path) -> None:
    with pytest.raises(NothingRegisteredError, match="make run"):
        connect(tmp_path, create=False)
    assert list(tmp_path.iterdir()) == []


def _open(root: Path) -> str:
    return experiment_id(connect(root, create=True), "shared")


@pytest.mark.slow
def test_processes_that_create_the_store_at_the_same_time_share_it(tmp_path: Path) -> None:
    with FORK.Pool(3) as pool:
        ids = pool.map(_open, [tmp_path] * 3, chunksize=1)
    assert len(set(ids)) == 1
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize(
    ("content", "message"),
    [("", r"is empty \(0 bytes\)"), ("no table " * 99, "is not a SQLite database"), (None, "is missing")],
)
def test_a_lost_store_is_not_replaced_by_a_new_one(
    tmp_path: Path, content: str | None, message: str, create: bool
) -> None:
    if content is None:
        model = tmp_path / "mlartifacts/models/m-1/artifacts/MLmodel"
        model.parent.mkdir(parents=True)
        model.touch()
    else:
        (tmp_path / "mlflow.db").write_text(content)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(
        RegistryError, match=rf"mlflow\.db: {message}, .*restore it from a backup, or remove "
    ) as caught:
        connect(tmp_path, create=create)
    assert not isinstance(caught.value, NothingRegisteredError)
    assert sorted(tmp_path.iterdir()) == before


def test_artifacts_without_a_model_do_not_count_as_a_lost_store(tmp_path: Path) -> None:
    (tmp_path / "mlartifacts" / "models").mkdir(parents=True)
    with pytest.raises(NothingRegisteredError):
        connect(tmp_path, create=False)


def test_a_deleted_experiment_is_not_written_to(tmp_path: Path) -> None:
    give_store(tmp_path)
    store = connect(tmp_path, create=False)
    store.client.delete_experiment(experiment_id(store, "old"))
    with pytest.raises(RegistryError, match=r"'old' was deleted .*register\.experiment"):
        experiment_id(store, "old")


@pytest.mark.parametrize("uri", ["http://me:pa55word@127.0.0.1:9", "postgresql://me:pa55word@127.0.0.1:9/mlflow"])
def test_a_server_that_is_down_is_reported_at_once_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(RegistryError, match=r"\*\*\*@127\.0\.0\.1:9.*does not answer.*MLFLOW_TRACKING_URI") as caught:
        connect(tmp_path, create=True)
    assert "pa55word" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_store_is_refused_with_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", str(tmp_path / "mlruns"))
    with pytest.raises(RegistryError, match="mlruns"):
        connect(tmp_path, create=True)


class _Refusing(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = json.dumps({"error_code": "PERMISSION_DENIED", "message": "not for you"}).encode()
        self.send_response(403)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def refusing_server() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Refusing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_refused_login_names_the_variables_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusing_server: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", refusing_server)
    with pytest.raises(RegistryError, match=r"not for you.*MLFLOW_TRACKING_USERNAME"):
        connect(tmp_path, create=True)


def test_errors_of_mlflow_become_one_line_without_secrets(tmp_path: Path) -> None:
    give_store(tmp_path)
    store = connect(tmp_path, create=False)._replace(uri="http://me:pa55word@host")
    with pytest.raises(RegistryError) as caught, registry_errors(store):
        raise MlflowException("\n  no luck at http://me:pa55word@host.\nTraceback: ...")
    assert str(caught.value) == "no luck at http://***@host"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://host:5000", "http://host:5000"),
        ("https://token@host/path", "https://***@host/path"),
        ("postgresql+psycopg://me:p%40ss@host/db", "postgresql+psycopg://***@host/db"),
        ("sqlite:////home/a@b/mlflow.db", "sqlite:////home/a@b/mlflow.db"),
    ],
)
def test_passwords_are_not_shown(uri: str, shown: str) -> None:
    assert without_password(uri) == shown


@pytest.mark.parametrize(
    ("uri", "folder"),
    [
        ("/a b/c", Path("/a b/c")),
        ("file:///a%20b/c", Path("/a b/c")),
        ("mlflow-artifacts:/1/models", None),
        ("s3://bucket/key", None),
    ],
)
def test_local_locations_have_a_folder(tmp_path: Path, uri: str, folder: Path | None) -> None:
    give_store(tmp_path)
    assert local_folder(connect(tmp_path, create=False), uri) == folder


@pytest.mark.parametrize("place", [".dvc/tmp/exps/tmp1", ".dvc/tmp/exps/standalone/tmp2"])
def test_copies_for_queued_experiments_use_the_store_of_their_clone(tmp_path: Path, place: str) -> None:
    copy = tmp_path / place
    copy.mkdir(parents=True)
    give_store(tmp_path)
    store = connect(copy, create=True)
    assert store.uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert store.artifacts == (tmp_path / "mlartifacts").as_uri()
    assert list(copy.iterdir()) == []
