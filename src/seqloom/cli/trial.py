"""`seqloom trial`: send the records of a sweep's trials to MLflow."""

import argparse
from pathlib import Path

NAME = "trial"
HELP = "send the records of a sweep's trials to MLflow"
DESCRIPTION = """\
Send records of a sweep and its trials, which are JSON files, to MLflow: one run for the sweep, with a child run for
each trial. `python -m pipelines sweep` calls this command. Sending a record again has no effect.
"""
EPILOG = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments of the command."""
    parser.add_argument("records", metavar="FILE", nargs="+", type=Path, help="records, in the order to send them")


def run(options: argparse.Namespace) -> None:
    """Read all records, then send them."""
    from seqloom.tracking.store import connect
    from seqloom.tracking.trials import log_trial, read_record

    records = [read_record(path) for path in options.records]
    store = connect(Path.cwd(), create=True)
    for record in records:
        print(f"{record.name}: {record.state.lower()}, run {log_trial(store, record)}")
