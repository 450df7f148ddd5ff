"""The guard over new data: data out of bounds stops the run before training, until a person decides.

A refusal is not stored: the data stays prepared, so the next run compares it again. Accepted data is stored, so that it
need not be accepted twice if the run that accepted it is killed.
"""

import hashlib
import json
from pathlib import Path

from prefect.artifacts import create_table_artifact

from pipelines.cli_client import guard
from pipelines.errors import OutOfBoundsError
from seqloom.files import write_text
from seqloom.json_output import GuardOutput
from seqloom.places import SCRATCH

ACCEPTED = SCRATCH / "accepted"  # the digests of accepted data, one per line


def guard_data(root: Path, *, accept: bool) -> str:
    """Compare the prepared data with that of the last version, keep the numbers as an artifact and return a summary.

    Raises:
        OutOfBoundsError: the data is out of bounds, and was accepted neither now (`accept`) nor before.
    """
    result = guard(root)
    if result["findings"]:
        table = [dict(finding) for finding in result["findings"]]
        create_table_artifact(key="data-guard", table=table, description="The new data, and its bounds")
    baseline = result["baseline"]
    if result["ok"]:
        return f"in bounds, compared with {baseline}" if baseline else "nothing to compare with yet"
    digest = _digest(result)
    accepted = _accepted(root)
    if digest not in accepted:
        if not accept:
            raise refusal(result)
        write_text(root / ACCEPTED, "\n".join([*accepted, digest]))
    return "\n".join(["out of bounds, and accepted by a person:", *_outside(result)])


def refusal(result: GuardOutput) -> OutOfBoundsError:
    """Return the error that lists the numbers out of bounds."""
    baseline = result["baseline"]
    against = f"that of version {baseline}" if baseline else "the bounds"
    message = "\n".join([f"the new data is refused, compared with {against}:", *_outside(result)])
    return OutOfBoundsError(message, _digest(result))


def _digest(result: GuardOutput) -> str:
    """Return a digest of all numbers, so that two refusals for different data differ."""
    parts = [result["ok"], result["baseline"], result["findings"]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _outside(result: GuardOutput) -> list[str]:
    """Return a sentence for each number out of bounds."""
    return [
        f"{each['what']} is {each['now']:g}, was {each['before']:g}; it may be {_bounds(each['low'], each['high'])}"
        for each in result["findings"]
        if not each["ok"]
    ]


def _bounds(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return f"{low:g} or more" if low is not None else f"{high:g} at most"
    return f"{low:g} to {high:g}"


def _accepted(root: Path) -> list[str]:
    path = root / ACCEPTED
    return path.read_text(encoding="utf-8").split() if path.exists() else []
