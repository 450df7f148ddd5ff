"""Helpers for tests of formats with inline markup: read files given as strings, write translations."""

import io
from collections.abc import Mapping

from seqloom.formats.catalogue import FORMATS
from seqloom.formats.encoding import TextFile
from seqloom.formats.pieces import Options, Piece, Skip, Unit, write
from seqloom.languages import Direction

EN_DE = Direction("en", "de")


def opened(name: str, content: str | bytes, encoding: str | None = None) -> TextFile:
    """Return a file in the format `name` with this content."""
    data = content if isinstance(content, bytes) else content.encode()
    return TextFile(io.BytesIO(data), f"c: f.{name}", encoding, FORMATS[name].declared)


def read(name: str, content: str | bytes, direction: Direction = EN_DE, encoding: str | None = None) -> list[Piece]:
    """Return the pieces of a file after checking that they add up to it."""
    file = opened(name, content, encoding)
    pieces = list(FORMATS[name].read(file, Options(direction)))
    text = "".join(piece if isinstance(piece, str) else piece.raw for piece in pieces)
    assert text == "".join(opened(name, content, encoding).blocks())
    return pieces


def units(name: str, content: str | bytes, direction: Direction = EN_DE) -> list[Unit]:
    """Return the units of a file."""
    return [piece for piece in read(name, content, direction) if isinstance(piece, Unit)]


def pairs(name: str, content: str | bytes, direction: Direction = EN_DE) -> list[tuple[str, str | None]]:
    """Return the source and target of each unit."""
    return [(unit.source, unit.target) for unit in units(name, content, direction)]


def skips(name: str, content: str | bytes, direction: Direction = EN_DE) -> list[tuple[str, str]]:
    """Return the reason and text of each skip."""
    return [(piece.reason, piece.text) for piece in read(name, content, direction) if isinstance(piece, Skip)]


def translated(name: str, content: str | bytes, translations: Mapping[str, str]) -> bytes:
    """Return the bytes of a file with translations."""
    file = opened(name, content)
    pieces = FORMATS[name].read(file, Options(EN_DE))
    return b"".join(file.encode(write(pieces, translations)))
