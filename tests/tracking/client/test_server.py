import socket
import subprocess
import sys
from pathlib import Path

import pytest

from seqloom.errors import RegistryError
from seqloom.tracking.client.server import address, check_port, command, environment
from seqloom.tracking.client.store import Store, connect
from tests.workspaces import give_store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    give_store(tmp_path)
    return connect(tmp_path, create=False)


def test_the_server_listens_on_the_loopback_interface_only() -> None:
    line = command(5001)
    assert line[:4] == [sys.executable, "-m", "mlflow", "server"]
    assert line[line.index("--host") + 1] == "127.0.0.1"
    assert line[line.index("--port") + 1] == "5001"


def test_the_server_accepts_the_host_of_the_link(store: Store) -> None:
    given = environment(store, 5001, {"PATH": "/bin"})
    assert address(5001) == "http://seqloom.localhost:5001"
    assert "seqloom.localhost:5001" in given["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert "127.0.0.1:5001" in given["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert given["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"] == "http://seqloom.localhost:5001"
    assert given["PATH"] == "/bin"
    assert environment(store, 5001, {"MLFLOW_SERVER_ALLOWED_HOSTS": "a"})["MLFLOW_SERVER_ALLOWED_HOSTS"] == "a"


def test_the_store_of_a_clone_is_served_whatever_its_folder_is_called(store: Store) -> None:
    given = environment(store, 5001, {})
    assert given["MLFLOW_BACKEND_STORE_URI"] == "sqlite:///mlflow.db"
    assert given["MLFLOW_ARTIFACTS_DESTINATION"] == "mlartifacts"


def test_a_password_is_not_among_the_arguments_of_the_server(store: Store) -> None:
    uri = "postgresql://me:secret@host/mlflow"
    given = environment(store._replace(uri=uri, artifacts="s3://bucket"), 5001, {"MLFLOW_TRACKING_URI": uri})
    assert given["MLFLOW_BACKEND_STORE_URI"] == uri
    assert given["MLFLOW_ARTIFACTS_DESTINATION"] == "s3://bucket"
    assert "secret" not in " ".join(command(5001))


def test_a_port_in_use_is_refused() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(RegistryError, match=rf"port {port} is in use; choose another: make ui PORT={port + 1}"):
            check_port(port)
    check_port(port)


def test_the_module_can_be_imported_first() -> None:
    """The order of imports matters: MLflow imports our artifact repository while it is itself imported."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import seqloom.tracking.client.server"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
