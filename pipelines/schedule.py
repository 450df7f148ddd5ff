"""`make schedule`: serve the deployments of prefect.yaml from one process, until Ctrl-C or SIGTERM.

Where the environment names no server (PREFECT_API_URL), it brings its own, on this machine alone.
"""

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines import ROOT
from pipelines.server import HOST, ServerError, serving

PORT = 4200
API = "PREFECT_API_URL"


def main(arguments: list[str]) -> None:
    """Serve as the arguments say."""
    parser = argparse.ArgumentParser("python -m pipelines schedule", description="Serve what prefect.yaml describes.")
    parser.add_argument("--cron", default=os.environ.get("SEQLOOM_CRON") or None, help="such as '30 2 * * 1-5'")
    parser.add_argument("--every", type=float, metavar="SECONDS", help="an interval instead of a time of day")
    parser.add_argument("--timezone", default=os.environ.get("SEQLOOM_TIMEZONE") or None, help="such as Europe/Berlin")
    parser.add_argument("--port", type=int, default=PORT, help=f"of Prefect's page, {PORT} if left out; 0: any")
    parser.add_argument("--root", type=Path, default=ROOT, help="the clone to work in, this one if left out")
    given = parser.parse_args(arguments)
    # Until Prefect takes over.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    try:
        with _server(given.root, given.port) as own:
            from pipelines.deployments import When, serve_deployments  # Prefect reads its settings when it is imported

            serve_deployments(given.root, When(given.cron, given.every, given.timezone), everyone=own)
    except ServerError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


@contextmanager
def _server(root: Path, port: int) -> Iterator[bool]:
    """See that there is a server; whether it is this process's own."""
    if API in os.environ:
        print(f"seqloom: serving flows for {os.environ[API]}", flush=True)
        yield False
        return
    print("seqloom: starting Prefect's server; that takes some seconds", flush=True)
    with serving(root, port) as url:
        os.environ[API] = url  # of flow runs, too
        page = url.removesuffix("/api").replace(HOST, "localhost")
        print(f"seqloom: flows are served; {page} shows them, Ctrl-C ends all", flush=True)
        yield True
