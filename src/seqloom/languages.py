"""Translation directions. This module imports nothing of seqloom."""

from typing import NamedTuple


class Direction(NamedTuple):
    """A source and a target language, as language codes (`en`, `pt-BR`, `zh-Hans`)."""

    source: str
    target: str

    def __str__(self) -> str:
        """Return the form used in files, tags and tables: `en-de`."""
        return f"{self.source}-{self.target}"
