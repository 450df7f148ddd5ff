"""`seqloom sync`: send the records of training runs to MLflow, once or while they are running."""

import argparse
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

from seqloom.cli.model_names import PARAMS
from seqloom.errors import RegistryError

NAME = "sync"
HELP = "send the records of training runs to MLflow"
DESCRIPTION = """\
Send to MLflow the records of this folder's training runs that it does not have yet: curves, sample translations at each
validation, and machine load. Runs whose training was killed are marked as ended.

With --follow, keep sending until the training that is running, or about to start, has ended. Training itself sends
nothing, so a server that is down or slow does not affect it. Whatever cannot be sent stays on disk for the next time.
"""
EPILOG = None
SCRATCH = Path("scratch")
_NICE = 10  # training goes first; a higher value would hold the database lock for too long while waiting for a CPU
_NO_RETRIES = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}  # we retry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments of the command."""
    parser.add_argument("--follow", action="store_true", help="keep sending until training has ended")
    parser.add_argument(
        "--every", type=float, default=10.0, metavar="SECONDS", help="interval for --follow (default: 10)"
    )


def run(options: argparse.Namespace) -> None:
    """Send once, or until training has ended."""
    for name, value in _NO_RETRIES.items():
        os.environ.setdefault(name, value)
    from seqloom.params import load_purpose
    from seqloom.tracking.sending import send_all
    from seqloom.tracking.store import Store, connect

    experiment = load_purpose(PARAMS).register_.experiment

    def open_store() -> Store:
        return connect(Path.cwd(), create=True)

    if not options.follow:
        send_all(open_store(), experiment, SCRATCH, print)
        return
    from seqloom.tracking.following import follow

    with suppress(RegistryError):  # reported later, when there is something to send
        open_store()  # create the database before lowering the priority: other processes wait for it
    os.nice(_NICE)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    done = follow(open_store, experiment, SCRATCH, stop, _log, every=options.every)
    if not done:
        _log("not everything was sent; run `seqloom sync` to send the rest")


def _log(message: str) -> None:
    print(f"seqloom sync: {message}", file=sys.stderr, flush=True)
