"""The door of the command line: the parser, and what becomes of errors.

Everything heavy is imported by the command that needs it, so that --help answers at once.
"""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from seqloom import __version__
from seqloom.cli import (
    compare,
    guard,
    history,
    info,
    inspect,
    leaderboard,
    lineage,
    preset,
    promote,
    reproduce,
    rollback,
    sync,
    translate,
    trial,
    ui,
    watch,
)
from seqloom.cli import set as set_
from seqloom.errors import OfflineError, SeqloomError, SilentError
from seqloom.printable import printable

FAILED, INTERRUPTED, PIPE_CLOSED = 1, 130, 141

_DESCRIPTION = "Translate with a model that seqloom trained, see which models there are, and choose what to train."
_EPILOG = """\
examples:
  seqloom translate "The PIN is invalid"             with the champion of the model that params.yaml trains
  seqloom translate < in.txt > out.txt               a translation per line
  seqloom translate --input in.txt --output out.txt  the same; out.txt appears when it is whole
  seqloom translate --model models:/seqloom-en-de/3 "The PIN is invalid"
  seqloom info                                       versions, scores and data
  seqloom leaderboard                                versions and runs on one test set, best first
  seqloom preset multilingual                        params.yaml for three directions in one model

A model is trained and registered by `make run` or `dvc repro`. MLFLOW_TRACKING_URI names the registry; without it,
that is mlflow.db in this folder.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit status.

    0 done, 1 failed, 2 misused, 75 what does not answer may do so later, 130 Ctrl-C, 141 closed pipe.
    """
    options = build_parser().parse_args(arguments)
    try:
        options.command(options)
        sys.stdout.flush()
    except (OfflineError, SilentError) as error:
        _fail(options, str(error), os.EX_TEMPFAIL)
    except SeqloomError as error:
        _fail(options, str(error))
    except BrokenPipeError:  # whoever read has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes at exit
        sys.exit(PIPE_CLOSED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except OSError as error:
        _fail(options, f"{error.filename or 'this machine'}: {error.strerror or error}")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--debug", action="store_true", help="show where an error comes from")
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("seqloom", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=layout)
    parser.add_argument("--version", action="version", version=f"seqloom {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (
        translate,
        info,
        preset,
        set_,
        watch,
        inspect,
        guard,
        trial,
        promote,
        rollback,
        history,
        sync,
        lineage,
        reproduce,
        compare,
        ui,
        leaderboard,
    ):
        command = commands.add_parser(
            module.NAME,
            parents=[shared],
            help=module.HELP,
            description=module.DESCRIPTION,
            epilog=module.EPILOG,
            formatter_class=layout,
        )
        module.add_arguments(command)
        command.set_defaults(command=module.run, misused=command.error)
    return parser


def _fail(options: argparse.Namespace, message: str, status: int = FAILED) -> NoReturn:
    if options.debug:
        traceback.print_exc()
    for line in message.split("\n"):
        print(f"seqloom: error: {printable(line)}", file=sys.stderr)
    sys.exit(status)
