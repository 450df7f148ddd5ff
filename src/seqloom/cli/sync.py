"""`seqloom sync`: send what trainings have written down to MLflow, once or while they go on."""

import argparse
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

from seqloom.cli.naming import PARAMS
from seqloom.errors import RegistryError

NAME = "sync"
HELP = "send to MLflow what trainings have written down"
DESCRIPTION = """\
Send to MLflow what trainings of this folder have written down and what it does not have yet: curves, translations of a
few sentences at each validation, and how busy the machine was. Runs of trainings that were killed are closed.

With --follow it stays beside a training that goes on, or is about to begin, until that has ended. Training itself sends
nothing: a server that is down or slow does not stop it and does not slow it down. What could not be sent stays on the
disk, for the next time.
"""
EPILOG = None
SCRATCH = Path("scratch")
_NICE = 10  # training comes first; further back, it would keep the database locked while it waits for a processor
_IN_A_HURRY = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}  # it tries again by itself


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--follow", action="store_true", help="stay until the training that goes on has ended")
    parser.add_argument(
        "--every", type=float, default=10.0, metavar="SECONDS", help="between two looks, with --follow (default: 10)"
    )


def run(options: argparse.Namespace) -> None:
    """Send once, or until training has ended."""
    for name, value in _IN_A_HURRY.items():
        os.environ.setdefault(name, value)
    from seqloom.params import load_purpose
    from seqloom.tracking.client.store import Store, connect
    from seqloom.tracking.sync.sending import send_all

    experiment = load_purpose(PARAMS).register_.experiment

    def open_store() -> Store:
        return connect(Path.cwd(), create=True)

    if not options.follow:
        send_all(open_store(), experiment, SCRATCH, print)
        return
    from seqloom.tracking.sync.sending import follow

    with suppress(RegistryError):  # it is told of when there is something to send
        open_store()  # others wait for whoever makes the database, so that is done at full speed
    os.nice(_NICE)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    done = follow(open_store, experiment, SCRATCH, stop, _tell, every=options.every)
    if not done:
        _tell("not everything was sent; `seqloom sync` sends the rest")


def _tell(message: str) -> None:
    print(f"seqloom sync: {message}", file=sys.stderr, flush=True)
