"""`seqloom trial`: bring what a sweep noted of its trials to MLflow."""

import argparse
from pathlib import Path

NAME = "trial"
HELP = "bring records of a sweep's trials to MLflow"
DESCRIPTION = """\
Bring records of a sweep and of its trials, files of JSON, to MLflow: one run for the sweep, and below it a run for each
trial. `python -m pipelines sweep` calls it; a record that was brought before changes nothing.
"""
EPILOG = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("records", metavar="FILE", nargs="+", type=Path, help="records, in the order of their sending")


def run(options: argparse.Namespace) -> None:
    """Read all of the records, then bring them."""
    from seqloom.tracking.client.store import connect
    from seqloom.tracking.runs.trials import log_trial, read_record

    records = [read_record(path) for path in options.records]
    store = connect(Path.cwd(), create=True)
    for record in records:
        print(f"{record.name}: {record.state.lower()}, run {log_trial(store, record)}")
