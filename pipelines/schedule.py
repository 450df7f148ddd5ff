"""`make schedule`: serve the deployments of prefect.yaml from one process, until Ctrl-C or SIGTERM.

If PREFECT_API_URL names no server, it starts one, reachable from this machine only.
"""

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines import ROOT
from pipelines.prefect_cli import API, announced
from pipelines.supervision.prefect_server import EXIT_STATUS, HOST, ScheduleError, serving

PORT, PORT_VARIABLE = 4200, "PREFECT_SERVER_API_PORT"


def main(arguments: list[str]) -> None:
    """Serve the deployments with command-line arguments."""
    parser = argparse.ArgumentParser("python -m pipelines schedule", description="Serve what prefect.yaml describes.")
    parser.add_argument(
        "--cron",
        default=os.environ.get("SEQLOOM_CRON") or None,
        help="when to run, such as '30 2 * * 1-5' (default: SEQLOOM_CRON, else as in prefect.yaml)",
    )
    parser.add_argument("--every", type=float, metavar="SECONDS", help="run at an interval instead")
    parser.add_argument(
        "--timezone",
        default=os.environ.get("SEQLOOM_TIMEZONE") or None,
        help="of --cron, such as Europe/Berlin (default: SEQLOOM_TIMEZONE, else as in prefect.yaml)",
    )
    parser.add_argument(
        "--port", help=f"the port of Prefect's page; 0 takes any free port (default: {PORT_VARIABLE}, else {PORT})"
    )
    parser.add_argument("--root", type=Path, default=ROOT, help="the clone to work in (default: this one)")
    given = parser.parse_args(arguments)
    for number in EXIT_STATUS:  # until the deployments are served
        signal.signal(number, lambda received, frame: sys.exit(EXIT_STATUS[signal.Signals(received)]))
    try:
        with _server(given.root, given.port) as own:
            # Prefect reads its settings when it is imported, so the server's address is set first.
            from pipelines.deployments import When, serve_deployments

            ended_by = serve_deployments(given.root, When(given.cron, given.every, given.timezone), everyone=own)
    except ScheduleError as error:
        sys.exit(f"error: {error}")
    sys.exit(EXIT_STATUS[ended_by])


def read_port(given: str | None) -> int:
    """Return the server's port: `given` on the command line, else that of the environment, else 4200.

    Raises:
        ScheduleError: it is not a port number.
    """
    name, text = ("--port", given) if given else (PORT_VARIABLE, os.environ.get(PORT_VARIABLE) or str(PORT))
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise ScheduleError(f"{name} is {text!r}; valid is a whole number from 0 to 65535, and 0 takes any free port")
    return int(text)


@contextmanager
def _server(root: Path, port: str | None) -> Iterator[bool]:
    """Start a server unless the environment names one; yield whether this process started it."""
    if os.environ.get(API):
        print(f"seqloom: serving flows for {os.environ[API]}", flush=True)
        yield False
        return
    number = read_port(port)
    print("seqloom: starting Prefect's server; that takes some seconds", flush=True)
    with serving(root, number) as url:
        os.environ[API] = url  # flow runs inherit it
        page = url.removesuffix("/api")
        os.environ[PORT_VARIABLE] = page.rpartition(":")[2]  # an invalid value here would stop Prefect's import
        with announced(root, url):
            print(
                f"seqloom: flows are served; {page.replace(HOST, 'localhost')} shows them, Ctrl-C ends all", flush=True
            )
            yield True
