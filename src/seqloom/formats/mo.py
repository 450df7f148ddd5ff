"""Compiled gettext catalogues, `.mo`.

A file consists of a header, two tables of (length, offset) for originals and translations, and the texts. Texts may
overlap, so their total size is checked before any is decoded.
"""

import struct
from collections.abc import Iterator, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np

from seqloom.errors import FormatError
from seqloom.formats.encoding import TextFile
from seqloom.formats.gettext_messages import Message, summarise
from seqloom.formats.pieces import Options, Piece, Skip, Unit
from seqloom.formats.po import charset_of

_MAGIC = 0x950412DE
_MOST_TEXT = 4  # times the size of the file; regular files share few texts or none


def is_mo(head: bytes) -> bool:
    """Return whether a file that begins with `head` is a `.mo` of either byte order."""
    return head[:4] in (struct.pack("<I", _MAGIC), struct.pack(">I", _MAGIC))


def read_mo(text: str, file: TextFile, options: Options) -> Iterator[Piece]:
    """Yield the file as one piece, then a unit for every message and plural form. A unit's line is its entry's number.

    Raises:
        FormatError: the file is truncated, its texts overlap too much, or a text is invalid in the file's charset.
    """
    content = text.encode("latin-1")
    catalogue, forms = summarise(message for _, message in _messages(content, file))
    yield text
    yield from catalogue.remarks(options, forms)
    for number, message in _messages(content, file):
        if not message.msgid and message.context is None:
            continue
        if catalogue.is_id(message):
            yield Skip("", "symbolic id", number, message.msgid)
            continue
        for form, target in message.forms.items():
            put = partial(_refuse, file.where)
            yield Unit("", message.key(form), catalogue.source(message, form), target or None, number, put)


def write_mo(text: str, file: TextFile, translations: Mapping[str, str]) -> str:
    """Return the recompiled catalogue with translations; unchanged if none differs. Raises like `read_mo`."""
    content = text.encode("latin-1")
    layout = _layout(content, file.where)
    encoding, changed, pairs = _encoding(b"", file), False, []
    for (original, translated), (_, message) in zip(layout.entries(content), _messages(content, file), strict=True):
        if not original:
            encoding = _encoding(translated, file)
        wanted = {form: translations.get(message.key(form), target) for form, target in message.forms.items()}
        if original and wanted != message.forms:
            changed = True
            # NUL separates the forms, so no form can contain it.
            forms = (each.replace("\0", "") for each in wanted.values())
            translated = _encoded("\0".join(forms), encoding, file.where)
        pairs.append((original, translated))
    return _compiled(pairs, layout.order).decode("latin-1") if changed else text


def _refuse(where: str, translation: str) -> str:
    raise FormatError(f"{where}: a .mo cannot be edited in place: use `write_mo`, or translate the .po instead")


class _Layout(NamedTuple):
    order: str  # byte order as used by struct
    tables: list[np.ndarray]  # (length, offset) of originals and of translations

    def entries(self, content: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield pairs of original and translation."""
        for places in zip(*self.tables, strict=True):
            original, translated = (content[int(start) : int(start) + int(length)] for length, start in places)
            yield original, translated


def _layout(content: bytes, where: str) -> _Layout:
    order = "<" if is_mo(content) and content[:1] == b"\xde" else ">"
    try:
        version, count, *starts = struct.unpack_from(order + "4I", content, 4)
    except struct.error as error:
        raise FormatError(f"{where}: the catalogue is truncated or corrupt: {error}") from error
    if version >> 16 > 1:
        raise FormatError(f"{where}: version {version >> 16} of the .mo format is not supported; supported are 0 and 1")
    if max(starts) + 8 * count > len(content):
        raise FormatError(
            f"{where}: the catalogue is truncated or corrupt: {count:,} entries do not fit in {len(content):,} bytes"
        )
    tables = [
        np.frombuffer(content, f"{order}u4", 2 * count, start).reshape(-1, 2).astype(np.int64) for start in starts
    ]
    for table in tables:
        if (table.sum(axis=1) > len(content)).any():
            raise FormatError(f"{where}: the catalogue is truncated or corrupt: a text ends beyond it")
    if sum(int(table[:, 0].sum()) for table in tables) > _MOST_TEXT * len(content):
        raise FormatError(f"{where}: the catalogue is corrupt: its texts overlap")
    return _Layout(order, tables)


def _messages(content: bytes, file: TextFile) -> Iterator[tuple[int, Message]]:
    encoding = _encoding(b"", file)
    for number, (original, translated) in enumerate(_layout(content, file.where).entries(content), 1):
        if not original:
            encoding = _encoding(translated, file)
        try:
            source, target = original.decode(encoding), translated.decode(encoding)
        except ValueError as error:
            raise FormatError(
                f"{file.where}: entry {number}: the text is not valid {encoding}, the file's charset: {error}; set "
                "`encoding` of this corpus to the right one"
            ) from error
        context, has_context, keys = source.partition("\x04") if "\x04" in source else ("", "", source)
        one, has_many, many = keys.partition("\0")
        forms = target.split("\0") if has_many else [target.partition("\0")[0]]
        yield number, Message(context if has_context else None, one, many if has_many else None, dict(enumerate(forms)))


def _encoding(header: bytes, file: TextFile) -> str:
    return file.supported_encoding(file.setting or charset_of(header) or "utf-8", "the header")


def _encoded(text: str, encoding: str, where: str) -> bytes:
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        character = error.object[error.start]
        raise FormatError(f"{where}: the translation contains {character!r}, which is not in {encoding}") from error


def _compiled(pairs: list[tuple[bytes, bytes]], order: str) -> bytes:
    """Return the content of the file, without the optional hash table."""
    count = len(pairs)
    tables, texts, place = [b"", b""], [], 28 + 16 * count
    for side in (0, 1):
        row = []
        for pair in pairs:
            row.append(struct.pack(order + "2I", len(pair[side]), place))
            texts.append(pair[side] + b"\0")
            place += len(texts[-1])
        tables[side] = b"".join(row)
    header = struct.pack(order + "7I", _MAGIC, 0, count, 28, 28 + 8 * count, 0, 28 + 16 * count)
    return header + b"".join(tables) + b"".join(texts)
