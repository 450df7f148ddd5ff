"""`seqloom history`: list the champions, with dates and reasons."""

import argparse
import json
from pathlib import Path

from seqloom.cli.model_names import add_model, default_model
from seqloom.table import table

NAME = "history"
HELP = "show which versions were champion, and why"
DESCRIPTION = (
    "Show every move of the alias `champion`, the latest last: when, by whom, from which version to which, and why."
)
EPILOG = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments of the command."""
    add_model(parser)
    parser.add_argument("--json", action="store_true", help="print JSON: a list of moves")


def run(options: argparse.Namespace) -> None:
    """Print the moves."""
    from seqloom.tracking.champion import history
    from seqloom.tracking.store import connect

    name = options.model or default_model()
    moves = history(connect(Path.cwd(), create=False), name)
    if options.json:
        print(json.dumps([move._asdict() for move in moves], indent=2, ensure_ascii=False))
        return
    if not moves:
        print(f"{name} has never had a champion")
    rows = []
    for move in moves:
        unmade = "" if move.made else "  (interrupted; run the same command again to finish it)"
        rows.append((move.at, f"{move.before or '-'} -> {move.version}", move.how, move.by, move.because + unmade))
    print("\n".join(table(rows)))
