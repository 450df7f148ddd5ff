"""A Prefect server for as long as a `with` block, on this machine alone, with its database in the clone.

It dies with the process that started it, however that ends: Linux sends it SIGTERM then.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOST, STARTUP = "127.0.0.1", 180.0  # seconds that a busy machine may take
TOLD_TO_END = {signal.SIGINT: 130, signal.SIGTERM: 0}  # what a schedule leaves with; service managers send SIGTERM
TAKEN = "give another one with --port or PREFECT_SERVER_API_PORT"
_PR_SET_PDEATHSIG = 1


class ScheduleError(Exception):
    """The schedule cannot start; the message says why."""


@contextmanager
def serving(root: Path, port: int) -> Iterator[str]:
    """Serve Prefect's API and page at `port`, and yield the URL of the API. Raises `ScheduleError`."""
    log = root / "scratch" / "logs" / "prefect.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ScheduleError(f"port {port} is taken ({error.strerror}); {TAKEN}") from error
        port = probe.getsockname()[1]  # where 0 was asked for: any that is free
    with log.open("wb") as out:
        command = [sys.executable, "-m", "pipelines.supervision.prefect_server", str(os.getpid()), str(port)]
        # In a session of its own: Ctrl-C is for the flows, which report to it until they have ended.
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    try:
        _wait(server, f"http://{HOST}:{port}/api", log)
        yield f"http://{HOST}:{port}/api"
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + STARTUP
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise ScheduleError(f"Prefect's server did not start; {log} says why")


def end_with(parent: int) -> bool:
    """Have Linux send SIGTERM to this process when `parent` ends; return False if it has ended already."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    return os.getppid() == parent


def main(parent: int, port: str) -> None:
    """Become the server, bound to the life of `parent`."""
    if not end_with(parent):
        return
    # The page asks the API at the usual port else, and shows nothing.
    os.environ["PREFECT_SERVER_UI_API_URL"] = f"http://{HOST}:{port}/api"
    words = ["-m", "prefect", "server", "start", "--host", HOST, "--port", port]
    os.execv(sys.executable, [sys.executable, *words])


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
