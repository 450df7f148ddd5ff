"""`seqloom ui`: MLflow's page, opened where runs are compared."""

import argparse
import os
import sys
from pathlib import Path

from seqloom.cli.naming import PARAMS
from seqloom.errors import ParamsError

NAME = "ui"
HELP = "serve MLflow's page, and print the link that compares runs"
DESCRIPTION = """\
Serve MLflow's page to this machine, and print two links: the runs table with the columns that matter, the best run
first, and the learning curves of the same runs. Ctrl-C stops it.

If MLFLOW_TRACKING_URI names a server, only the links are printed.
"""
EPILOG = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--port", type=int, default=5000, metavar="PORT", help="default: 5000")
    parser.add_argument("--experiment", metavar="NAME", help="default: register.experiment of params.yaml")


def run(options: argparse.Namespace) -> None:
    """Print the links, then become the server."""
    from seqloom.tracking.client.server import HOST, NAME, address, check_port, command, environment
    from seqloom.tracking.client.store import connect, without_password
    from seqloom.tracking.runs.page import CHARTS, find_experiment, view_url

    if not 0 < options.port < 65536:
        options.misused(f"--port: {options.port} is no port; valid are 1 to 65535")
    store = connect(Path.cwd(), create=True)
    experiment = find_experiment(store, options.experiment or _experiment())
    served = store.uri.startswith(("http:", "https:"))
    server = without_password(store.uri).rstrip("/") if served else address(options.port)
    links = {"runs": view_url(server, experiment)}
    if experiment is not None:
        links["curves"] = view_url(server, experiment, CHARTS)
    if not served:
        check_port(options.port)
        print(f"MLflow will answer in some 15 seconds; Ctrl-C stops it. If your browser does not find {NAME},")
        print(f"write {HOST} in its place.")
    for name, link in links.items():
        print(f"  {name:<8}{link}")
    if not served:
        sys.stdout.flush()
        line = command(options.port)
        os.execve(line[0], line, environment(store, options.port, os.environ))


def _experiment() -> str | None:
    """The experiment of params.yaml; None if the file does not say: the page needs no valid settings."""
    from seqloom.params import load_purpose

    try:
        return load_purpose(PARAMS).register_.experiment
    except ParamsError:
        return None
