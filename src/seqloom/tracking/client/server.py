"""The command and environment of MLflow's own server, for the users of this machine.

Its URL is http://seqloom.localhost, since browsers resolve every name below `localhost` to this machine. If the host is
localhost or 127.0.0.1, MLflow 3.17 opens its assistant over the page, and no server setting prevents that.
"""

import errno
import socket
import sys
from collections.abc import Mapping
from contextlib import closing

from seqloom.errors import RegistryError
from seqloom.tracking.client.store import ARTIFACTS, DATABASE, URI_VARIABLE, Store

HOST, NAME = "127.0.0.1", "seqloom.localhost"


def address(port: int) -> str:
    """Return the URL of the page."""
    return f"http://{NAME}:{port}"


def command(port: int) -> list[str]:
    """Return the command that serves, on the loopback interface only, the store set in `environment`."""
    return [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]


def environment(store: Store, port: int, given: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of `command`: `given`, the store, and the host names that a browser may use.

    The store is not a command-line argument, since other users can read those and its URI may contain a password.
    """
    if given.get(URI_VARIABLE):
        uri, artifacts = store.uri, store.artifacts or ARTIFACTS
    else:
        # Relative, so that no character of a folder's name needs quoting.
        uri, artifacts = f"sqlite:///{DATABASE}", ARTIFACTS
    ours = {"MLFLOW_BACKEND_STORE_URI": uri, "MLFLOW_ARTIFACTS_DESTINATION": artifacts}
    defaults = {
        "PYTHONWARNINGS": "ignore",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # 2 processes instead of 10, and half the memory
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(f"{host}:{port}" for host in (NAME, HOST, "localhost")),
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": address(port),
    }
    return defaults | dict(given) | ours


def check_port(port: int) -> None:
    """Raise `RegistryError` if the server could not listen on the port."""
    with closing(socket.socket()) as test:
        test.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the server sets it, too
        try:
            test.bind((HOST, port))
        except OSError as error:
            reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
            raise RegistryError(f"port {port} {reason}; choose another: make ui PORT={port + 1}") from error
