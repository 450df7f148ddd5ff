"""Fixture for tests that read one format from bytes."""

import io

import pytest

from seqloom.formats.catalogue import FORMATS
from seqloom.formats.encoding import TextFile
from seqloom.formats.pieces import Options, Unit, write
from seqloom.languages import Direction

EN_DE = Direction("en", "de")


class Reader:
    """Reads and writes content in one format."""

    def __init__(self, name: str) -> None:
        self.format = FORMATS[name]

    def file(self, content, encoding=None) -> TextFile:
        given = content.encode() if isinstance(content, str) else content
        return TextFile(io.BytesIO(given), "f", encoding, self.format.declared)

    def pieces(self, content, encoding=None, direction=EN_DE, **options):
        return list(self.format.read(self.file(content, encoding), Options(direction, **options)))

    def units(self, content, encoding=None, direction=EN_DE, **options) -> list[Unit]:
        return [piece for piece in self.pieces(content, encoding, direction, **options) if isinstance(piece, Unit)]

    def pairs(self, content, encoding=None, direction=EN_DE, **options):
        return [(unit.source, unit.target) for unit in self.units(content, encoding, direction, **options)]

    def written(self, content, translations, encoding=None, direction=EN_DE, **options) -> bytes:
        file = self.file(content, encoding)
        text = write(self.format.read(file, Options(direction, **options)), translations)
        return b"".join(file.encode(text))


@pytest.fixture
def reader():
    """The class `Reader`, to be created with a format's name."""
    return Reader
