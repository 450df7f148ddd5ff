"""`seqloom promote`: make a version the champion, regardless of the gate."""

import argparse
from pathlib import Path

from seqloom.cli.model_names import add_model, version_of

NAME = "promote"
HELP = "make a version the champion"
DESCRIPTION = """\
Make a version the champion, whatever the gate's verdict. The move, the reason and your name are kept in the history.
"""
EPILOG = """\
examples:
  seqloom promote 7 --because "the customer prefers it"
  seqloom promote @candidate --because "the old test set was wrong"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments of the command."""
    parser.add_argument("version", metavar="VERSION", help="a number, @ALIAS, or models:/NAME/NUMBER")
    parser.add_argument("--because", metavar="TEXT", required=True, help="the reason, kept in the history")
    add_model(parser)


def run(options: argparse.Namespace) -> None:
    """Move the alias `champion`."""
    from seqloom.tracking.champion import crown
    from seqloom.tracking.store import connect, exclusive
    from seqloom.tracking.versions import the_version

    wanted = version_of(options.version, options.model)
    store = connect(Path.cwd(), create=False)
    with exclusive(store):
        version = the_version(store, wanted)
        move = crown(store, version.name, version.version, "promote", options.because)
    before = f" (before: version {move.before})" if move.before not in (None, move.version) else ""
    print(f"{version.name}: version {move.version} is the champion{before}")
