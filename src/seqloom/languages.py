"""Languages and directions, as everything that reads or writes text names them. This module imports nothing."""

from typing import NamedTuple


class Direction(NamedTuple):
    """What a model reads and what it writes, as language codes (`en`, `pt-BR`, `zh-Hans`)."""

    source: str
    target: str

    def __str__(self) -> str:
        """`en-de`: how files, tags and tables write it."""
        return f"{self.source}-{self.target}"
