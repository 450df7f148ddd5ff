"""`seqloom reproduce`: make a registered model again, and say whether it is the same."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from seqloom.errors import ReproductionError

if TYPE_CHECKING:
    from seqloom.tracking.registry.reproduction import Reproduction

NAME = "reproduce"
HELP = "make a registered model again, and say whether it is the same"
DESCRIPTION = """\
Check out the commit of a registered version into a new folder, with the params and the data that were recorded, train
and score again from nothing, and compare every artefact with DVC's hash of then. The exit status is 1 if the model is
another one.

This runs the code of that commit. It takes as long as training did then.
"""
EPILOG = None
DEFAULT = Path("scratch") / "reproduced"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("model", metavar="MODEL", help="models:/NAME@ALIAS, models:/NAME/NUMBER or the id of a run")
    parser.add_argument(
        "--into", type=Path, metavar="FOLDER", help=f"a new folder (default: below {DEFAULT}, by the name of the run)"
    )


def run(options: argparse.Namespace) -> None:
    """Reproduce, print what is the same, and fail if the model is not."""
    from seqloom.tracking.client.store import connect
    from seqloom.tracking.registry.lineage import read_lineage
    from seqloom.tracking.registry.reproduction import reproduce

    store = connect(Path.cwd(), create=False)
    wanted = read_lineage(store, options.model)
    into = options.into or DEFAULT / wanted.run_id
    _tell(f"commit {str(wanted.commit)[:12]} in {into}; its code is run")
    found = reproduce(store, wanted, Path.cwd(), into, _tell)
    print("\n".join(_told(found)))
    if not found.same:
        sys.stdout.flush()
        raise ReproductionError(_verdict(found))
    print(f"the model is the same to the byte: {found.folder}/models/candidate")


def _told(found: "Reproduction") -> list[str]:
    width = max(len(each.path) for each in found.artefacts)
    lines = [
        f"{'same' if each.same else 'DIFFERS':8} {each.path:<{width}}  {each.recorded}"
        + ("" if each.same else f" then, {each.made or 'nothing'} now")
        for each in found.artefacts
    ]
    if found.fingerprint and found.recorded_fingerprint:
        same = found.fingerprint == found.recorded_fingerprint
        shown = (
            found.fingerprint[:16] if same else f"{found.recorded_fingerprint[:16]} then, {found.fingerprint[:16]} now"
        )
        lines.append(f"{'same' if same else 'DIFFERS':8} {'fingerprint':<{width}}  {shown}")
    return lines


def _verdict(found: "Reproduction") -> str:
    first = next(each.path for each in found.artefacts if not each.same)
    why = f"; known to differ: {'; '.join(found.differences)}" if found.differences else ""
    return f"the model is another one; the first artefact that differs is {first}{why}"


def _tell(message: str) -> None:
    print(f"seqloom reproduce: {message}", file=sys.stderr, flush=True)
