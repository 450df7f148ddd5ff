"""The entry point of the command line: the parser and the handling of errors.

Commands import heavy modules when they run, so that --help is fast.
"""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from seqloom import __version__, exits
from seqloom.cli import (
    compare,
    distill,
    gc,
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
    serve,
    sync,
    translate,
    trial,
    ui,
    watch,
)
from seqloom.cli import set as set_
from seqloom.errors import LockedError, OfflineError, SeqloomError, SilentError
from seqloom.printable import printable

_DESCRIPTION = "Translate with models trained by seqloom, manage their versions, and change what is trained."
_EPILOG = """\
examples:
  seqloom translate "The PIN is invalid"             use the champion of the model in params.yaml
  seqloom translate < in.txt > out.txt               translate each line
  seqloom translate --input in.txt --output out.txt  the same; out.txt is written only when it is complete
  seqloom translate --model models:/seqloom-en-de/3 "The PIN is invalid"
  seqloom serve                                      translate over HTTP, at http://127.0.0.1:8080
  seqloom info                                       list versions with scores and data
  seqloom leaderboard                                rank versions and runs on one test set
  seqloom preset multilingual                        set params.yaml to three directions in one model

`make run` or `dvc repro` trains and registers a model. The registry is mlflow.db in this folder, unless
MLFLOW_TRACKING_URI names another one.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with one of the statuses of `seqloom.exits`."""
    options = build_parser().parse_args(arguments)
    try:
        options.command(options)
        sys.stdout.flush()
    except (LockedError, OfflineError, SilentError) as error:
        _fail(options, str(error), exits.TRY_LATER)
    except SeqloomError as error:
        _fail(options, str(error))
    except BrokenPipeError:  # the reader closed the pipe, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the flush at exit prints an error
        sys.exit(exits.PIPE_CLOSED)
    except KeyboardInterrupt:
        sys.exit(exits.INTERRUPTED)
    except OSError as error:
        _fail(options, f"{error.filename or 'this machine'}: {error.strerror or error}")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--debug", action="store_true", help="show the traceback of an error")
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("seqloom", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=layout)
    parser.add_argument("--version", action="version", version=f"seqloom {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (
        translate,
        serve,
        info,
        preset,
        set_,
        distill,
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
        gc,
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
        command.set_defaults(command=module.run, usage_error=command.error)
    return parser


def _fail(options: argparse.Namespace, message: str, status: int = exits.FAILED) -> NoReturn:
    if options.debug:
        traceback.print_exc()
    for line in message.split("\n"):
        print(f"seqloom: error: {printable(line)}", file=sys.stderr)
    sys.exit(status)
