"""The format `gettext`: catalogues `.po`, `.pot` and `.mo`, in which the key of a text is the source text itself.

A `.mo` is told by its first four bytes, never by its name. Every plural form is a pair of its own. A catalogue may have
ids in place of source texts (`menu.file.open`): if most of its keys look so, those are skipped.
"""

from collections.abc import Iterator, Mapping

from seqloom.formats.encoding import BINARY, TextFile
from seqloom.formats.mo import is_mo, read_mo, write_mo
from seqloom.formats.pieces import Options, Piece, write
from seqloom.formats.po import charset, read_po


def declared(head: bytes) -> str | None:
    """Return the charset of a `.po` catalogue's header; the texts of a `.mo` are decoded by its reader."""
    return BINARY if is_mo(head) else charset(head)


def read_gettext(file: TextFile, options: Options) -> Iterator[Piece]:
    """Yield a unit for every message and every plural form.

    Messages without translation have no target, fuzzy and obsolete ones are flagged. The header is copied.

    Raises:
        FormatError: the catalogue is broken; the line is named, or the entry of a `.mo`.
    """
    text = file.read()
    return read_mo(text, file, options) if file.binary else read_po(text, file, options)


def write_gettext(file: TextFile, options: Options, translations: Mapping[str, str]) -> Iterator[str]:
    """Yield the text of a catalogue with translations put in; a `.mo` is compiled anew. Raises as `read_gettext`."""
    text = file.read()
    if file.binary:
        yield write_mo(text, file, translations)
    else:
        yield from write(read_po(text, file, options), translations)
