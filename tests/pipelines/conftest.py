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

from pipelines.supervision import logged_command
from tests import forked_dvc
from tests.templates import give_prefect_database, leave_running, template

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


# Services of the server that no test needs. The one that records the runs of tasks stays.
IDLE = (
    "CANCELLATION_CLEANUP", "EVENT_PERSISTER", "FOREMAN", "LATE_RUNS", "PAUSE_EXPIRATIONS", "REPOSSESSOR",
    "SCHEDULER", "TRIGGERS",
)  # fmt: skip


@pytest.fixture(autouse=True)
def forked_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages that run in the process of the test fork it for DVC."""
    monkeypatch.setattr(logged_command, "subprocess", forked_dvc)


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[str]:
    """A Prefect server, to which the flows of all worker processes report; it takes 10 seconds of processor time."""
    url = (template("prefect-server", _start) / "url").read_text(encoding="utf-8")
    with temporary_settings({PREFECT_API_URL: url}):
        yield url
        APILogHandler().flush()  # send the rest while the server still runs


def _start(folder: Path) -> None:
    """Start a server on a free port with its own database; write its URL and its process number into `folder`."""
    home = folder.with_name("prefect-home")
    give_prefect_database(home)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = home / "server.log"
    # Its parent is a shell that ends at once, because the server outlives this worker process.
    command = ["sh", "-c", '"$@" > "$0" 2>&1 & echo $!', log, sys.executable, "-m", "prefect", "server", "start"]
    off = {f"PREFECT_SERVER_SERVICES_{service}_ENABLED": "false" for service in IDLE}
    started = subprocess.run(
        [*command, "--port", str(port), "--no-ui"], env={**os.environ, **off, "PREFECT_HOME": str(home)},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True, start_new_session=True,
    )  # fmt: skip
    process = leave_running(int(started.stdout), folder)
    url = f"http://127.0.0.1:{port}/api"
    _wait_for(f"{url}/health", process, log)
    (folder / "url").write_text(url, encoding="utf-8")


def _wait_for(url: str, process: Path, log: Path) -> None:
    end = time.monotonic() + 180
    while time.monotonic() < end and process.exists():
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"the Prefect server did not start: {log.read_text(encoding='utf-8')}")
