"""A server that follows the champion of a registry on MLflow's server, and of one in PostgreSQL."""

import logging
import os
import secrets
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from seqloom.progress import ignore
from seqloom.serving.releases import RegisteredSource
from seqloom.serving.server import Serving
from seqloom.stages import register_model
from seqloom.tracking.client.server import command
from seqloom.tracking.client.store import connect
from tests.services.conftest import Postgres, free_port
from tests.serving.conftest import MODEL, Running, serving_at
from tests.workspaces import write_results

pytestmark = [pytest.mark.services, pytest.mark.drill]
_logger = logging.getLogger(__name__)
PATIENCE = 300  # seconds, on a machine that does much else
FIELDS = {"q": "Turn on the light", "source": "en", "target": "de"}


class Database:
    """A registry in a database of its own; `down` refuses connections, and ends those that exist."""

    def __init__(self, postgres: Postgres, root: Path) -> None:
        self._postgres, self._name = postgres, f"following_{secrets.token_hex(4)}"
        postgres.query("postgres", f"CREATE DATABASE {self._name}")
        self.uri, self.artifacts = postgres.uri(self._name), (root / "artifacts").as_uri()

    def down(self) -> None:
        self._postgres.query("postgres", f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS false")
        end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self._name}'"
        self._postgres.query("postgres", end)

    def up(self) -> None:
        self._postgres.query("postgres", f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS true")

    def close(self) -> None:
        pass


class Server:
    """MLflow's server, with its records in that database; `down` kills it."""

    def __init__(self, database: Database) -> None:
        self._database, self._port = database, free_port()
        self.uri = f"http://127.0.0.1:{self._port}"
        self.up()

    def up(self) -> None:
        named = {
            "MLFLOW_BACKEND_STORE_URI": self._database.uri,
            "MLFLOW_ARTIFACTS_DESTINATION": self._database.artifacts,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        nowhere, line = subprocess.DEVNULL, [*command(self._port), "--workers", "1"]
        self._process = subprocess.Popen(
            line, env=os.environ | named, stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True
        )
        until(self._answers)

    def down(self) -> None:
        os.killpg(self._process.pid, 9)
        self._process.wait()

    close = down

    def _answers(self) -> bool:
        assert self._process.poll() is None
        try:
            urllib.request.urlopen(f"{self.uri}/health", timeout=5).close()
        except OSError:
            time.sleep(0.2)
            return False
        return True


@pytest.fixture(params=["server", "postgresql"])
def store(
    request: pytest.FixtureRequest, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Database | Server]:
    """A registry with two versions; the first one is the champion."""
    root = tmp_path / "clone"
    root.mkdir()
    monkeypatch.chdir(root)
    database = Database(postgres, root)
    store = database if request.param == "postgresql" else Server(database)
    try:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
        if request.param == "postgresql":
            monkeypatch.setenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", database.artifacts)
        for seed in (16, 17):
            register_model.run(write_results(root, seed=seed), ignore)
        connect(root, create=False).client.set_registered_model_alias(MODEL, "champion", "1")
        yield store
    finally:
        store.close()


def until(found: Callable[[], bool]) -> float:
    """Wait until a condition holds; return the seconds that it took."""
    start = time.monotonic()
    while not found():
        assert time.monotonic() < start + PATIENCE
    return time.monotonic() - start


def version(running: Running) -> str:
    answer = httpx.post(f"{running.url}/translate", data=FIELDS, timeout=60)
    assert answer.status_code == 200
    return str(answer.json()["version"])


def alarm(running: Running) -> bool:
    lines = httpx.get(f"{running.url}/metrics", timeout=60).text.splitlines()
    (found,) = [line for line in lines if line.startswith('seqloom_alarm{kind="registry"')]
    return found.endswith(" 1.0")


def test_the_champion_is_followed_and_the_old_version_serves_while_the_registry_is_down(
    store: Database | Server, tmp_path: Path
) -> None:
    client = connect(tmp_path / "clone", create=False).client
    source = RegisteredSource(MODEL)  # with the process that imports MLflow, as `seqloom serve` has it
    with serving_at(tmp_path / "clone", Serving([source], "cpu"), poll_seconds=0.2) as running:
        assert version(running) == f"{MODEL}/1"
        client.set_registered_model_alias(MODEL, "champion", "2")
        _logger.info("a new champion served after %.1f s", until(lambda: version(running) == f"{MODEL}/2"))
        store.down()
        _logger.info("the alarm was raised after %.1f s", until(lambda: alarm(running)))
        assert version(running) == f"{MODEL}/2"
        store.up()
        _logger.info("the alarm ended after %.1f s", until(lambda: not alarm(running)))
        client.set_registered_model_alias(MODEL, "champion", "1")
        until(lambda: version(running) == f"{MODEL}/1")
        assert not alarm(running)
