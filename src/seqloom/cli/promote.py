"""`seqloom promote`: make a version the champion by hand, over the head of the gate."""

import argparse
from pathlib import Path

from seqloom.cli.naming import add_model, version_of

NAME = "promote"
HELP = "make a version the champion"
DESCRIPTION = """\
Make a version the champion, whatever the gate said of it. The move, the reason and your name are kept in the history.
"""
EPILOG = """\
examples:
  seqloom promote 7 --because "the customer prefers it"
  seqloom promote @candidate --because "the old test set was wrong"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("version", metavar="VERSION", help="a number, @ALIAS, or models:/NAME/NUMBER")
    parser.add_argument("--because", metavar="TEXT", required=True, help="why; it is kept")
    add_model(parser)


def run(options: argparse.Namespace) -> None:
    """Move the alias."""
    from seqloom.tracking.client.store import connect, exclusive
    from seqloom.tracking.registry.champion import set_champion
    from seqloom.tracking.registry.versions import get_version

    wanted = version_of(options.version, options.model)
    store = connect(Path.cwd(), create=False)
    with exclusive(store):
        version = get_version(store, wanted)
        move = set_champion(store, version.name, version.version, "promote", options.because)
    before = f" (before: version {move.before})" if move.before not in (None, move.version) else ""
    print(f"{version.name}: version {move.version} is the champion{before}")
