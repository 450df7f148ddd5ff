"""The format `gettext`: `.po`, `.pot` and `.mo` catalogues, whose keys are usually the source texts themselves.

A `.mo` file is recognised by its first four bytes, not its name. Each plural form is a separate pair. If most keys of
a catalogue look like ids (`menu.file.open`), messages keyed by an id are skipped.
"""

from collections.abc import Iterator, Mapping

from seqloom.formats.encoding import BINARY, TextFile
from seqloom.formats.mo import is_mo, read_mo, write_mo
from seqloom.formats.pieces import Options, Piece, write
from seqloom.formats.po import charset, read_po


def declared(head: bytes) -> str | None:
    """Return the charset declared in a `.po` header, or `BINARY` for a `.mo`, whose reader decodes the texts itself."""
    return BINARY if is_mo(head) else charset(head)


def read_gettext(file: TextFile, options: Options) -> Iterator[Piece]:
    """Yield a unit for every message and every plural form.

    Untranslated messages have no target; fuzzy and obsolete ones are flagged. The header is copied.

    Raises:
        FormatError: the catalogue is broken; the error names the line, or the entry of a `.mo`.
    """
    text = file.read()
    return read_mo(text, file, options) if file.binary else read_po(text, file, options)


def write_gettext(file: TextFile, options: Options, translations: Mapping[str, str]) -> Iterator[str]:
    """Yield the text of a catalogue with translations; a `.mo` is recompiled. Raises like `read_gettext`."""
    text = file.read()
    if file.binary:
        yield write_mo(text, file, translations)
    else:
        yield from write(read_po(text, file, options), translations)
