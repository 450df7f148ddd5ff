"""`seqloom history`: which version was champion, since when and why."""

import argparse
import json
from pathlib import Path

from seqloom.cli.naming import add_model, default_model

NAME = "history"
HELP = "show who was champion, and why"
DESCRIPTION = (
    "Show every move of the alias `champion`, the latest last: when, by whom, from which version to which, and why."
)
EPILOG = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    add_model(parser)
    parser.add_argument("--json", action="store_true", help="for programs: a list of moves")


def run(options: argparse.Namespace) -> None:
    """Print the moves."""
    from seqloom.tracking.client.store import connect
    from seqloom.tracking.registry.champion import history

    name = options.model or default_model()
    moves = history(connect(Path.cwd(), create=False), name)
    if options.json:
        print(json.dumps([move._asdict() for move in moves], indent=2, ensure_ascii=False))
        return
    if not moves:
        print(f"{name} never had a champion")
    for move in moves:
        way = f"{move.before or '-'} -> {move.version}"
        unmade = "" if move.made else "  (cut off before it was done: the same command finishes it)"
        print(f"{move.at}  {way:<12}  {move.how:<8}  {move.by:<12}  {move.because}{unmade}")
