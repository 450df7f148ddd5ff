"""A Prefect server for the duration of a `with` block, reachable only from this machine, its database in the clone.

Linux sends it SIGTERM when the process that started it ends, however that ends.
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

from seqloom.exits import DONE, INTERRUPTED
from seqloom.places import LOGS

HOST = "127.0.0.1"
STARTUP = 180.0  # seconds that the server may take to start on a busy machine
EXIT_STATUS = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: DONE}  # of a schedule; service managers send SIGTERM
TAKEN = "give another one with --port or PREFECT_SERVER_API_PORT"
_PR_SET_PDEATHSIG = 1


class ScheduleError(Exception):
    """The schedule cannot start."""


@contextmanager
def serving(root: Path, port: int) -> Iterator[str]:
    """Serve Prefect's API and page at `port`, and yield the URL of the API. Raises `ScheduleError`."""
    log = root / LOGS / "prefect.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ScheduleError(f"port {port} is taken ({error.strerror}); {TAKEN}") from error
        port = probe.getsockname()[1]  # 0 stands for any free port
    with log.open("wb") as out:
        command = [sys.executable, "-m", "pipelines.supervision.prefect_server", str(os.getpid()), str(port)]
        # In a session of its own, so that Ctrl-C does not reach it: flows report to it until they have ended.
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
    raise ScheduleError(f"Prefect's server did not start; see {log}")


def die_with(parent: int) -> bool:
    """Let Linux send SIGTERM to this process when `parent` ends; return False if it has ended already."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    return os.getppid() == parent


def main(parent: int, port: str) -> None:
    """Replace this process by the server, which ends with `parent`."""
    if not die_with(parent):
        return
    # By default the page calls the API at port 4200, and shows nothing.
    os.environ["PREFECT_SERVER_UI_API_URL"] = f"http://{HOST}:{port}/api"
    words = ["-m", "prefect", "server", "start", "--host", HOST, "--port", port]
    os.execv(sys.executable, [sys.executable, *words])


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
