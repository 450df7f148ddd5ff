"""Format rows of text as aligned columns for a terminal.

This is not `rich`: it would truncate or wrap long texts, split a line at U+2028, and take 0.3 seconds to import.
"""

import unicodedata
from collections.abc import Collection, Sequence

from seqloom.printable import printable


def table(rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> list[str]:
    """Return one line per row, with each column as wide as its widest cell.

    Columns whose indices are in `right` are aligned to the right. Control characters in cells are escaped.
    """
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        padded = [
            " " * (width - _width(cell)) + cell if column in right else cell + " " * (width - _width(cell))
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(padded).rstrip())
    return lines


def _width(text: str) -> int:
    """Return how many terminal columns a text takes: two for a wide character, none for a combining mark."""
    if text.isascii():
        return len(text)
    marks = sum(unicodedata.category(character) in ("Mn", "Me", "Cf") for character in text)
    return len(text) - marks + sum(unicodedata.east_asian_width(character) in "WF" for character in text)
