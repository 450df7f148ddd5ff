"""`seqloom promote`: make a version the champion, regardless of the gate."""

import argparse
from pathlib import Path

from seqloom.cli.model_names import add_model, version_of

NAME = "promote"
HELP = "make a version the champion"
DESCRIPTION = """\
Make a version the champion, whatever the gate's verdict. The move, the reason and your name are kept in the history.
If the version was served as a shadow from here, what it translated differently is printed.
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
    from seqloom.gate.shadow import explain_shadow, read_comparisons
    from seqloom.places import SHADOW
    from seqloom.tracking.client.store import connect, exclusive
    from seqloom.tracking.registry.champion import set_champion
    from seqloom.tracking.registry.versions import get_version

    wanted = version_of(options.version, options.model)
    store = connect(Path.cwd(), create=False)
    with exclusive(store):
        version = get_version(store, wanted)
        move = set_champion(store, version.name, version.version, "promote", options.because)
    for line in explain_shadow(read_comparisons(SHADOW, f"{version.name}/{version.version}")):
        print(f"{version.name}: version {version.version} {line}")
    before = f" (before: version {move.before})" if move.before not in (None, move.version) else ""
    print(f"{version.name}: version {move.version} is the champion{before}")
