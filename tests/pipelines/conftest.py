"""Small repositories with a DAG of shell commands, and one Prefect server per test process."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dvc.repo import Repo
from prefect.logging.handlers import APILogHandler
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.templates import give_prefect_database

MakeRepository = Callable[[str], Path]


@pytest.fixture
def make_repository(tmp_path: Path, root: Path) -> MakeRepository:
    """Make a DVC repository with the given dvc.yaml and this repository's params.yaml."""

    def make(dvc_yaml: str) -> Path:
        folder = tmp_path / "repository"
        folder.mkdir()
        Repo.init(str(folder), no_scm=True).close()
        shutil.copy(root / "params.yaml", folder)
        (folder / "dvc.yaml").write_text(dvc_yaml, encoding="utf-8")
        return folder

    return make


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prefect server on a free port, with its own database; the flows of tests report to it."""
    give_prefect_database(Path(os.environ["PREFECT_HOME"]))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("prefect") / "server.log"
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port), "--no-ui"]
    with log.open("wb") as out:
        server = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/api"
    try:
        _wait_for(f"{url}/health", server, log)
        with temporary_settings({PREFECT_API_URL: url}):
            yield url
            APILogHandler().flush()  # send the rest while the server still runs
    finally:
        server.terminate()
        server.wait(30)


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 180
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"the Prefect server did not start: {log.read_text(encoding='utf-8')}")
