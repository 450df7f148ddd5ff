"""The guard over new data: what is out of bounds stops the run before training, until a person decides.

Nothing of the refusal has to be remembered: the data stays prepared, so the next run asks the guard again. What is
remembered is which data a person accepted, so that a run that is killed after that need not be accepted twice.
"""

import hashlib
import json
from pathlib import Path

from prefect.artifacts import create_table_artifact

from pipelines.cli_client import Guarded, guard

ACCEPTED = Path("scratch", "accepted")  # the digests of what a person accepted, a line each


class OutOfBoundsError(Exception):
    """The new data differs from that of the last version by more than the bounds allow."""

    def __init__(self, guarded: Guarded) -> None:
        super().__init__(guarded)
        self.guarded = guarded

    def __str__(self) -> str:
        against = f"that of version {self.guarded.baseline}" if self.guarded.baseline else "the bounds"
        return "\n".join([f"the new data is refused, compared with {against}:", *self.guarded.outside()])


def digest(guarded: Guarded) -> str:
    """What tells one judgement from another: all of its numbers."""
    return hashlib.sha256(json.dumps(guarded, sort_keys=True).encode()).hexdigest()


def guard_data(root: Path, *, accept: bool) -> str:
    """Ask the guard about the prepared data and say what it said; its numbers become an artifact.

    Raises:
        OutOfBoundsError: the guard refuses, and no person has accepted this data.
    """
    guarded = guard(root)
    if guarded.findings:
        create_table_artifact(key="data-guard", table=guarded.findings, description="The new data, and its bounds")
    if guarded.ok:
        return f"in bounds, compared with {guarded.baseline}" if guarded.baseline else "nothing to compare with yet"
    known = _accepted(root)
    if digest(guarded) not in known:
        if not accept:
            raise OutOfBoundsError(guarded)
        _accept(root, [*known, digest(guarded)])
    return "\n".join(["out of bounds, and accepted by a person:", *guarded.outside()])


def _accepted(root: Path) -> list[str]:
    path = root / ACCEPTED
    return path.read_text(encoding="utf-8").split() if path.exists() else []


def _accept(root: Path, digests: list[str]) -> None:
    beside = root / (str(ACCEPTED) + ".new")
    beside.write_text("\n".join(digests), encoding="utf-8")
    beside.replace(root / ACCEPTED)
