"""The format `moses`: plain text with one segment per line and one file per language.

A line's key is its number. Blank lines are units too, so that lines with the same number stay paired.
"""

from collections.abc import Iterator

from seqloom.formats.encoding import TextFile
from seqloom.formats.pieces import Options, Piece, Unit


def read_text_lines(file: TextFile, options: Options) -> Iterator[Piece]:
    """Yield a unit for every line, including blank ones. Raises `FormatError` like `TextFile.lines`."""
    for number, line in file.lines():
        text = line.rstrip("\r\n")
        yield Unit(text, str(number), text, None, number, _one_line)
        yield line[len(text) :]


def _one_line(translation: str) -> str:
    return " ".join(translation.splitlines())
