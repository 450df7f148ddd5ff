"""The format `moses`: plain text, a segment a line, a file per language.

The key of a line is its number. A blank line is a unit of its own, so that line N of one file stays opposite line N of
the other.
"""

from collections.abc import Iterator

from seqloom.formats.encoding import TextFile
from seqloom.formats.pieces import Options, Piece, Unit


def read_text_lines(file: TextFile, options: Options) -> Iterator[Piece]:
    """Yield a unit for every line, the blank ones too. Raises `FormatError` as `TextFile.lines`."""
    for number, line in file.lines():
        text = line.rstrip("\r\n")
        yield Unit(text, str(number), text, None, number, _one_line)
        yield line[len(text) :]


def _one_line(translation: str) -> str:
    return " ".join(translation.splitlines())
