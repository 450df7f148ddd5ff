"""The environment of all tests: network access only to this machine, no telemetry, no files in the home folder."""

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Prefect and others read these when they are imported, so set them before any test module is imported.
os.environ.update(
    DO_NOT_TRACK="true",
    DVC_NO_ANALYTICS="1",
    MLFLOW_DISABLE_TELEMETRY="true",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    PREFECT_HOME=tempfile.mkdtemp(prefix="seqloom-prefect-"),
    PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL="CRITICAL",
    PYTHONPATH=os.pathsep.join([str(ROOT / "src"), str(ROOT)]),  # subprocesses import this working tree, too
)
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Background jobs of a shell ignore SIGINT and pass that on, but some tests interrupt the processes they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure() -> None:
    """Remove the temporary Prefect home."""
    shutil.rmtree(os.environ["PREFECT_HOME"], ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with slow tests first, so that parallel runs do not end waiting for one of them."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return ROOT


def _is_here(address: Any) -> bool:
    if not isinstance(address, tuple):
        return True  # a Unix socket
    host = address[0]
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host in ("localhost", "")


@pytest.fixture(autouse=True, scope="session")
def offline() -> Iterator[None]:
    """Fail any test that connects to another machine from this process."""
    patch = pytest.MonkeyPatch()
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if not _is_here(address):
            raise OSError(101, f"a test tried to connect to {address!r}; tests must not use the network")
        connect(self, address)

    patch.setattr(socket.socket, "connect", guarded)
    yield
    patch.undo()
