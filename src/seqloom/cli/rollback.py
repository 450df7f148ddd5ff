"""`seqloom rollback`: the champion before this one, or any other version, is champion again."""

import argparse
from pathlib import Path

from seqloom.cli.naming import add_model, default_model, version_of
from seqloom.errors import RegistryError

NAME = "rollback"
HELP = "make an earlier version the champion again"
DESCRIPTION = """\
Make the champion before this one the champion again, or the version that is named. The move, the reason and your name
are kept in the history. Again, it goes back one more. The gate compares what comes next with that version.
"""
EPILOG = """\
examples:
  seqloom rollback --because "it drops the units of numbers"
  seqloom rollback 3 --because "the last one that the customer accepted"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("version", metavar="VERSION", nargs="?", help="a number or models:/NAME/NUMBER")
    parser.add_argument("--because", metavar="TEXT", required=True, help="why; it is kept")
    add_model(parser)


def run(options: argparse.Namespace) -> None:
    """Move the alias back."""
    from seqloom.tracking.client.store import connect, exclusive
    from seqloom.tracking.registry.champion import current_champion, history, previous_champion, set_champion
    from seqloom.tracking.registry.versions import Reference, get_version

    store = connect(Path.cwd(), create=False)
    with exclusive(store):
        if options.version is not None:
            wanted = version_of(options.version, options.model)
        else:
            name = options.model or default_model()
            champion = current_champion(store, name)
            number = previous_champion(history(store, name), champion)
            if number is None:
                raise RegistryError(
                    f"{name} had no champion before {f'version {champion}' if champion else 'now'}; `seqloom info` "
                    "lists its versions, and `seqloom rollback VERSION` takes any of them"
                )
            wanted = Reference(name, number=number)
        version = get_version(store, wanted)
        move = set_champion(store, version.name, version.version, "rollback", options.because)
    before = f" (before: version {move.before})" if move.before not in (None, move.version) else ""
    print(f"{version.name}: version {move.version} is the champion again{before}")
