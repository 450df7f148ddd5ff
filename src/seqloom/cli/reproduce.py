"""`seqloom reproduce`: train a registered model again, and check that it is identical."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from seqloom.errors import ReproductionError
from seqloom.table import table

if TYPE_CHECKING:
    from seqloom.tracking.reproduction import Reproduction

NAME = "reproduce"
HELP = "train a registered model again, and check that it is identical"
DESCRIPTION = """\
Check out the commit of a registered version into a new folder, with the recorded params and data, train and score again
from scratch, and compare every artefact with the DVC hash that was recorded. The exit status is 1 if the model differs.

This runs the code of that commit, and takes as long as the original training.
"""
EPILOG = None
DEFAULT = Path("scratch") / "reproduced"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments of the command."""
    parser.add_argument("model", metavar="MODEL", help="models:/NAME@ALIAS, models:/NAME/NUMBER or a run id")
    parser.add_argument("--into", type=Path, metavar="FOLDER", help=f"a new folder (default: {DEFAULT}/RUN_ID)")


def run(options: argparse.Namespace) -> None:
    """Reproduce the model, print the comparison, and raise an error if the model differs."""
    from seqloom.tracking.ancestry import lineage
    from seqloom.tracking.reproduction import reproduce
    from seqloom.tracking.store import connect

    store = connect(Path.cwd(), create=False)
    wanted = lineage(store, options.model)
    into = options.into or DEFAULT / wanted.run_id
    _log(f"running the code of commit {str(wanted.commit)[:12]} in {into}")
    found = reproduce(store, wanted, Path.cwd(), into, _log)
    print("\n".join(_lines(found)))
    if not found.same:
        sys.stdout.flush()
        raise ReproductionError(_verdict(found))
    print(f"the model is identical: {found.folder}/models/candidate")


def _lines(found: "Reproduction") -> list[str]:
    pairs = [(each.path, each.recorded, each.made or "nothing") for each in found.artefacts]
    if found.fingerprint and found.recorded_fingerprint:
        pairs.append(("fingerprint", found.recorded_fingerprint[:16], found.fingerprint[:16]))
    return table([
        ("same", name, now) if recorded == now else ("DIFFERS", name, f"{recorded} recorded, {now} now")
        for name, recorded, now in pairs
    ])  # fmt: skip


def _verdict(found: "Reproduction") -> str:
    first = next(each.path for each in found.artefacts if not each.same)
    why = f"; known differences: {'; '.join(found.differences)}" if found.differences else ""
    return f"the model is not identical; the first artefact that differs is {first}{why}"


def _log(message: str) -> None:
    print(f"seqloom reproduce: {message}", file=sys.stderr, flush=True)
