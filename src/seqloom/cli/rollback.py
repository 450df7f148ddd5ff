"""`seqloom rollback`: make the previous champion, or another version, the champion again."""

import argparse
from pathlib import Path

from seqloom.cli.model_names import add_model, default_model, version_of
from seqloom.errors import RegistryError

NAME = "rollback"
HELP = "make an earlier version the champion again"
DESCRIPTION = """\
Make the previous champion, or the version given, the champion again. The move, the reason and your name are kept in the
history. Another rollback goes back one more champion. The gate compares later versions with the new champion.
"""
EPILOG = """\
examples:
  seqloom rollback --because "it drops the units of numbers"
  seqloom rollback 3 --because "the last one that the customer accepted"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments of the command."""
    parser.add_argument("version", metavar="VERSION", nargs="?", help="a number or models:/NAME/NUMBER")
    parser.add_argument("--because", metavar="TEXT", required=True, help="the reason, kept in the history")
    add_model(parser)


def run(options: argparse.Namespace) -> None:
    """Move the alias `champion` back."""
    from seqloom.tracking.champion import crown, former, history, reigning
    from seqloom.tracking.store import connect, exclusive
    from seqloom.tracking.versions import Reference, the_version

    store = connect(Path.cwd(), create=False)
    with exclusive(store):
        if options.version is not None:
            wanted = version_of(options.version, options.model)
        else:
            name = options.model or default_model()
            champion = reigning(store, name)
            number = former(history(store, name), champion)
            if number is None:
                raise RegistryError(
                    f"{name} had no champion before {f'version {champion}' if champion else 'now'}; `seqloom info` "
                    "lists its versions, and `seqloom rollback VERSION` goes back to one of them"
                )
            wanted = Reference(name, number=number)
        version = the_version(store, wanted)
        move = crown(store, version.name, version.version, "rollback", options.because)
    before = f" (before: version {move.before})" if move.before not in (None, move.version) else ""
    print(f"{version.name}: version {move.version} is the champion again{before}")
