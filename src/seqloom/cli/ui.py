"""`seqloom ui`: serve MLflow's page with links that compare runs."""

import argparse
import os
import sys
from pathlib import Path

from seqloom.cli.model_names import PARAMS
from seqloom.errors import ParamsError
from seqloom.table import table

NAME = "ui"
HELP = "serve MLflow's page, and print links that compare runs"
DESCRIPTION = """\
Serve MLflow's page on this machine, and print two links: the table of runs with selected columns and the best run
first, and the learning curves of the same runs. Ctrl-C stops the server.

If MLFLOW_TRACKING_URI names a server, only print the links.
"""
EPILOG = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments of the command."""
    parser.add_argument("--port", type=int, default=5000, metavar="PORT", help="default: 5000")
    parser.add_argument("--experiment", metavar="NAME", help="default: register.experiment of params.yaml")


def run(options: argparse.Namespace) -> None:
    """Print the links, then replace this process by the server."""
    from seqloom.tracking.server import HOST, NAME, address, check_port, command, environment
    from seqloom.tracking.store import connect, without_password
    from seqloom.tracking.view import CHARTS, find, page

    if not 0 < options.port < 65536:
        options.usage_error(f"--port: {options.port} is not a port; valid are 1 to 65535")
    store = connect(Path.cwd(), create=True)
    experiment = find(store, options.experiment or _experiment())
    served = store.uri.startswith(("http:", "https:"))
    server = without_password(store.uri).rstrip("/") if served else address(options.port)
    links = {"runs": page(server, experiment)}
    if experiment is not None:
        links["curves"] = page(server, experiment, CHARTS)
    if not served:
        check_port(options.port)
        print(f"MLflow will be ready in about 15 seconds; Ctrl-C stops it. If your browser cannot find {NAME},")
        print(f"use {HOST} instead.")
    for row in table(list(links.items())):
        print(f"  {row}")
    if not served:
        sys.stdout.flush()
        line = command(options.port)
        os.execve(line[0], line, environment(store, options.port, os.environ))


def _experiment() -> str | None:
    """Return the experiment of params.yaml; None if the file is invalid, since the page does not need it."""
    from seqloom.params import load_purpose

    try:
        return load_purpose(PARAMS).register_.experiment
    except ParamsError:
        return None
