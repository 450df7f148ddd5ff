"""Progress reports of long-running work.

Functions of the core that may take seconds accept a `listen` callable, and call it with `Progress` records; they never
print. Pass `ignore` to discard the reports, or `list.append` to collect them in a test.
"""

from collections.abc import Callable
from typing import NamedTuple


class Progress(NamedTuple):
    """A report that `done` of `total` units of a task are finished; `total` is None if it is unknown."""

    task: str
    done: int
    total: int | None
    unit: str
    note: str = ""


Listener = Callable[[Progress], None]


def ignore(progress: Progress) -> None:
    """Discard a report."""
