"""Translate HTML: the text of each block and of displayed attributes; all other bytes are kept.

The reader is that of the format `html`: inline tags become placeholders, so a sentence with links stays one sentence.
"""

import io
from collections.abc import Sequence

from seqloom.errors import FormatError, RequestError
from seqloom.formats.encoding import TextFile
from seqloom.formats.html import read_html
from seqloom.formats.pieces import Options, Piece, Unit, write
from seqloom.languages import Direction

_ANY = Options(Direction("", ""))  # the reader of HTML uses no option


class Markup:
    """A piece of HTML. Raises `RequestError` if it cannot be read."""

    def __init__(self, text: str) -> None:
        file = TextFile(io.BytesIO(text.encode()), "q", "utf-8")
        try:
            self._pieces: list[Piece] = list(read_html(file, _ANY))
        except FormatError as error:
            raise RequestError(str(error)) from error
        self._units = [piece for piece in self._pieces if isinstance(piece, Unit)]

    @property
    def texts(self) -> list[str]:
        """The texts to translate, with placeholders for inline tags."""
        return [unit.source for unit in self._units]

    def filled(self, translations: Sequence[str]) -> str:
        """Return the HTML with a translation for each of `texts`."""
        by_key = {unit.key: text for unit, text in zip(self._units, translations, strict=True)}
        return "".join(write(self._pieces, by_key))
