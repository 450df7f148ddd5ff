"""How long work tells how far it is. The core reports records; whoever listens draws them.

A part of the core that can take seconds accepts a `listen` argument and calls it with a `Progress` now and then; it
never prints. `ignore` is the listener of those who do not care, `list.append` the one of the tests.
"""

from collections.abc import Callable
from typing import NamedTuple


class Progress(NamedTuple):
    """One report: `done` of `total` `unit` of `task` are finished (`total` is None where it is not known)."""

    task: str
    done: int
    total: int | None
    unit: str
    note: str = ""


Listener = Callable[[Progress], None]


def ignore(progress: Progress) -> None:
    """Listen to nothing."""
