import base64
import json
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from seqloom.errors import RegistryError, SilentError
from seqloom.tracking.registry.champion_number import can_be_asked, champion_number

NAME = "seqloom-en-de"


@pytest.fixture
def database(tmp_path: Path) -> str:
    file = tmp_path / "a ?#b.db"
    with closing(sqlite3.connect(file)) as made:
        made.execute("CREATE TABLE registered_model_aliases (workspace, name, alias, version INTEGER)")
        rows = [(NAME, "candidate", 7), (NAME, "champion", 3), ("other", "champion", 9)]
        made.executemany("INSERT INTO registered_model_aliases VALUES ('default', ?, ?, ?)", rows)
        made.commit()
    return f"sqlite:///{file}"


class Server(BaseHTTPRequestHandler):
    """Answers as MLflow does; the path of the URI selects what happens."""

    def do_GET(self) -> None:
        seen.append((self.path, self.headers["Authorization"]))
        status = {"/gone": 404, "/refused": 403}.get(self.path.partition("/api")[0], 200)
        aliases = [{"alias": "candidate", "version": "7"}, {"alias": "champion", "version": "3"}]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps({"registered_model": {"name": NAME, "aliases": aliases}}).encode())

    def log_message(self, *_: object) -> None:
        pass


seen: list[tuple[str, str | None]] = []


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    for name in ("USERNAME", "PASSWORD", "TOKEN", "AUTH", "AWS_SIGV4"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    seen.clear()
    with HTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_database_has_the_number(database: str) -> None:
    assert champion_number(database, NAME) == "3"
    assert champion_number(database, "unknown") is None


def test_any_database_of_sqlalchemy_is_asked_in_the_same_way(database: str, tmp_path: Path) -> None:
    file = Path(database.removeprefix("sqlite:///")).rename(tmp_path / "plain.db")
    assert champion_number(f"sqlite+pysqlite:///{file}", NAME) == "3"
    with pytest.raises(SilentError, match="the database does not answer"):
        champion_number("sqlite+pysqlite:////nowhere/x.db", NAME)


def test_a_database_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="the database cannot be read: unable to open"):
        champion_number(f"sqlite:///{tmp_path}/none.db", NAME)
    assert not (tmp_path / "none.db").exists()


def test_a_server_has_the_number(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert champion_number(f"http://{place}/", NAME) == "3"
    assert champion_number(f"http://me:se%40cret@{place}", NAME) == "3"
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t")
    assert champion_number(f"http://{place}/below", NAME) == "3"
    path = "/api/2.0/mlflow/registered-models/get?name=seqloom-en-de"
    login = f"Basic {base64.b64encode(b'me:se@cret').decode()}"
    assert seen == [(path, None), (path, login), (f"/below{path}", "Bearer t")]


def test_a_server_that_has_no_such_model_or_refuses(place: str) -> None:
    assert champion_number(f"http://{place}/gone", NAME) is None
    with pytest.raises(RegistryError, match=r"^the server answers with status 403$"):
        champion_number(f"http://me:secret@{place}/refused", NAME)


def test_a_server_that_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(SilentError, match=r"^the server does not answer: .*refused"):
        champion_number(f"http://127.0.0.1:{port}", NAME)


def test_only_mlflow_can_log_in_with_its_plugins(place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert can_be_asked(f"http://{place}")
    (tmp_path / ".mlflow").mkdir()
    (tmp_path / ".mlflow" / "credentials").touch()
    assert not can_be_asked(f"http://{place}")
    assert can_be_asked("postgresql://x")
    monkeypatch.setenv("HOME", "/")
    monkeypatch.setenv("MLFLOW_TRACKING_AUTH", "plugin")
    assert not can_be_asked(f"http://{place}")
