"""Read a marked-up file that is given as a text, and put translations into it."""

import io
from collections.abc import Mapping

from seqloom.formats.catalogue import FORMATS
from seqloom.formats.encoding import TextFile
from seqloom.formats.pieces import Options, Piece, Skip, Unit, write
from seqloom.languages import Direction

EN_DE = Direction("en", "de")


def opened(name: str, content: str | bytes, encoding: str | None = None) -> TextFile:
    """The file as text."""
    data = content if isinstance(content, bytes) else content.encode()
    return TextFile(io.BytesIO(data), f"c: f.{name}", encoding, FORMATS[name].declared)


def read(name: str, content: str | bytes, direction: Direction = EN_DE, encoding: str | None = None) -> list[Piece]:
    """All pieces of a file, which are checked to make up the file."""
    file = opened(name, content, encoding)
    pieces = list(FORMATS[name].read(file, Options(direction)))
    text = "".join(piece if isinstance(piece, str) else piece.raw for piece in pieces)
    assert text == "".join(opened(name, content, encoding).blocks())
    return pieces


def units(name: str, content: str | bytes, direction: Direction = EN_DE) -> list[Unit]:
    """The units of a file."""
    return [piece for piece in read(name, content, direction) if isinstance(piece, Unit)]


def pairs(name: str, content: str | bytes, direction: Direction = EN_DE) -> list[tuple[str, str | None]]:
    """Source and target of every unit."""
    return [(unit.source, unit.target) for unit in units(name, content, direction)]


def skips(name: str, content: str | bytes, direction: Direction = EN_DE) -> list[tuple[str, str]]:
    """Reason and text of what is left out."""
    return [(piece.reason, piece.text) for piece in read(name, content, direction) if isinstance(piece, Skip)]


def translated(name: str, content: str | bytes, translations: Mapping[str, str]) -> bytes:
    """The bytes of a file with translations put in by the keys of units."""
    file = opened(name, content)
    pieces = FORMATS[name].read(file, Options(EN_DE))
    return b"".join(file.encode(write(pieces, translations)))
