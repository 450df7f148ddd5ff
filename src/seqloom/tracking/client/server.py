"""How MLflow's own server is started, so that people of this machine can look at the store.

The page is opened as http://seqloom.localhost: browsers send every name below `localhost` to this machine. On a host
called localhost or 127.0.0.1, MLflow 3.17 opens its assistant over the page; no setting of the server prevents that.
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
    """Return the address under which a browser opens the page."""
    return f"http://{NAME}:{port}"


def command(port: int) -> list[str]:
    """Return the command that serves the store that `environment` names, to this machine only."""
    return [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]


def environment(store: Store, port: int, given: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of `command`: what is `given`, with the store and the hosts that a browser may name.

    The store is not an argument of the command, because other users can read arguments and its URI may hold a password.
    """
    if given.get(URI_VARIABLE):
        uri, artifacts = store.uri, store.artifacts or ARTIFACTS
    else:
        uri, artifacts = f"sqlite:///{DATABASE}", ARTIFACTS  # relative: MLflow takes any folder name that way
    ours = {"MLFLOW_BACKEND_STORE_URI": uri, "MLFLOW_ARTIFACTS_DESTINATION": artifacts}
    defaults = {
        "PYTHONWARNINGS": "ignore",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # 2 processes instead of 10, and half the memory
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(f"{host}:{port}" for host in (NAME, HOST, "localhost")),
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": address(port),
    }
    return defaults | dict(given) | ours


def check_port(port: int) -> None:
    """Raise `RegistryError` if the port cannot be had."""
    with closing(socket.socket()) as test:
        test.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            test.bind((HOST, port))
        except OSError as error:
            reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
            raise RegistryError(f"port {port} {reason}; choose another: make ui PORT={port + 1}") from error
