"""Helpers for catalogue tests: read from bytes, check that reading is lossless, write translations."""

import io
from collections.abc import Mapping

from seqloom.formats.catalogue import FORMATS, translated
from seqloom.formats.encoding import TextFile
from seqloom.formats.pieces import Options, Piece, Remark, Skip, Unit
from seqloom.languages import Direction


def opened(name: str, content: bytes | str, encoding: str | None = None) -> TextFile:
    """Return a file in the format `name` with this content."""
    stream = io.BytesIO(content.encode() if isinstance(content, str) else content)
    return TextFile(stream, f"c.{name}", encoding, FORMATS[name].declared)


def options(source: str = "en", target: str = "de") -> Options:
    """Return the readers' options for a direction."""
    return Options(Direction(source, target))


def read(name: str, content: bytes | str, encoding: str | None = None, target: str = "de") -> list[Piece]:
    """Return the pieces of a file after checking that they add up to it."""
    pieces = list(FORMATS[name].read(opened(name, content, encoding), options(target=target)))
    whole = "".join(opened(name, content, encoding).blocks())
    assert "".join(piece if isinstance(piece, str) else piece.raw for piece in pieces) == whole
    return pieces


def units(name: str, content: bytes | str, encoding: str | None = None, target: str = "de") -> list[Unit]:
    """Return the units of a file."""
    return [piece for piece in read(name, content, encoding, target) if isinstance(piece, Unit)]


def skips(name: str, content: bytes | str) -> list[tuple[str, str]]:
    """Return the reason and text of each skip."""
    return [(piece.reason, piece.text) for piece in read(name, content) if isinstance(piece, Skip)]


def remarks(name: str, content: bytes | str) -> list[str]:
    """Return the messages of the remarks."""
    return [piece.message for piece in read(name, content) if isinstance(piece, Remark)]


def texts(name: str, content: bytes | str, encoding: str | None = None) -> dict[str, str]:
    """Return the texts of a file by key; of a bilingual file, its targets."""
    both = FORMATS[name].bilingual
    return {unit.key: (unit.target or "") if both else unit.source for unit in units(name, content, encoding)}


def written(name: str, content: bytes | str, translations: Mapping[str, str], encoding: str | None = None) -> bytes:
    """Return the bytes of a file with translations."""
    file = opened(name, content, encoding)
    return b"".join(file.encode(translated(name, file, options(), translations)))


def assert_puts(name: str, content: bytes | str, key: str, translation: str, encoding: str | None = None) -> bytes:
    """Write a translation; check that it reads back and that all other texts are unchanged. Return the new file."""
    before = texts(name, content, encoding)
    after = written(name, content, {key: translation}, encoding)
    assert texts(name, after, encoding) == before | {key: translation}
    return after
