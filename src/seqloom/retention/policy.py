"""The policy of `seqloom gc`, and the records of what it removes and keeps."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

DAY = 86400.0  # seconds


class Policy(NamedTuple):
    """How much is kept, whatever else needs it."""

    keep: int = 3  # the newest of each kind: versions of a model, its last champions, finished trainings
    days: float = 30.0  # everything younger


class Removal(NamedTuple):
    """Something that is not needed; `remove` removes it. After a kill, the next search finds the rest."""

    place: str
    name: str
    why: str
    bytes: int
    remove: Callable[[], None]


class Kept(NamedTuple):
    """Something that is kept, and why."""

    place: str
    name: str
    why: str


class Found(NamedTuple):
    """The result of a search."""

    removals: list[Removal]
    kept: list[Kept]

    def __add__(self, other: object) -> "Found":
        """Return the results of two searches as one."""
        if not isinstance(other, Found):
            return NotImplemented
        return Found([*self.removals, *other.removals], [*self.kept, *other.kept])


def days_since(seconds: float) -> float:
    """Return the days since a moment, in seconds since the epoch."""
    return (time.time() - seconds) / DAY


def age(days: float) -> str:
    """Return a number of days as text."""
    return "today" if days < 1 else f"{days:.0f} day{'s' * (round(days) != 1)} ago"


def size_of(path: Path) -> int:
    """Return the bytes in a file, or in all files below a folder; links count as nothing."""
    files = [path] if path.is_file() and not path.is_symlink() else path.rglob("*")
    return sum(file.lstat().st_size for file in files if file.is_file() and not file.is_symlink())


def last_change(path: Path) -> float:
    """Return when anything in a folder, or a file, was last written, in seconds since the epoch."""
    return max((each.lstat().st_mtime for each in (path, *path.rglob("*"))), default=0.0)


def shown(size: float) -> str:
    """Return a number of bytes with a unit, such as `1.4 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
