"""The format `gettext`: catalogues `.mo` and `.po`, in which the key of a translation is the source text itself.

A `.mo` is read here, a `.po` by polib. Of plural forms the first is read: it translates the singular in languages with
two forms, and serves for all numbers in those with one.
"""

import re
import struct
from collections.abc import Iterator

from seqloom.corpus.formats.raw import RawPair
from seqloom.corpus.members import Members
from seqloom.errors import FormatError
from seqloom.languages import Direction

_MAGIC = 0x950412DE
_CHARSET = re.compile(rb"charset=([A-Za-z0-9_.:-]+)")


def read_gettext(members: Members, pattern: str, direction: Direction) -> Iterator[RawPair]:
    """Yield the translated entries of every catalogue of the target language that the pattern matches.

    Entries without translation, fuzzy, obsolete and header entries are left out; the context of an entry is too.

    Raises:
        FormatError: a catalogue is broken, or none matches.
    """
    catalogues = members.sides(pattern, direction.target)
    if not catalogues:
        raise FormatError(f"{members.place}: no catalogue for {direction.target!r} matches {pattern!r}")
    for name, group in catalogues.values():
        content = members.read(name)
        where = f"{members.place}: {name}"
        entries = _po(content, where) if name.endswith(".po") else _mo(content, where)
        for source, target in entries:
            yield RawPair(source, target, group)


def _mo(content: bytes, where: str) -> Iterator[tuple[str, str]]:
    """The layout: magic, version, count N, offsets of two tables of N (length, offset), of originals and texts."""
    order = next((order for order in "<>" if content[:4] == struct.pack(order + "I", _MAGIC)), None)
    if order is None:
        raise FormatError(f"{where}: not a .mo catalogue (its first four bytes are {content[:4].hex() or 'missing'})")
    try:
        count, originals, texts = struct.unpack_from(order + "3I", content, 8)
        charset = "utf-8"
        for number in range(count):
            original = _string(content, order, originals + 8 * number)
            text = _string(content, order, texts + 8 * number)
            if not original:
                charset = _charset(text, where)
                continue
            source = original.split(b"\0")[0].rpartition(b"\x04")[2]
            target = text.split(b"\0")[0]
            if target:
                yield source.decode(charset), target.decode(charset)
    except (struct.error, UnicodeDecodeError) as error:
        raise FormatError(f"{where}: the catalogue is truncated or corrupt: {error}") from error


def _string(content: bytes, order: str, place: int) -> bytes:
    length, offset = struct.unpack_from(order + "2I", content, place)
    if offset + length > len(content):
        raise struct.error(f"a text ends at byte {offset + length} of {len(content)}")
    return content[offset : offset + length]


def _po(content: bytes, where: str) -> Iterator[tuple[str, str]]:
    try:
        import polib
    except ImportError as error:
        raise FormatError(f"{where}: to read .po files install polib: pip install 'seqloom[pipeline]'") from error
    try:
        # polib takes a text for a path where it can be one; an empty line at its beginning never is.
        entries = polib.pofile("\n" + content.decode(_charset(content[:4096], where)))
    except (OSError, UnicodeDecodeError, ValueError) as error:
        said = re.sub(r"^Syntax error in po file.*?(?=\(line|$)", "", str(error)) or str(error)
        raise FormatError(f"{where}: not a .po catalogue: {said}") from error
    for entry in entries:
        if entry.obsolete or entry.fuzzy or not entry.msgid:
            continue
        target = entry.msgstr_plural.get(0, "") if entry.msgid_plural else entry.msgstr
        if target:
            yield entry.msgid, target


def _charset(header: bytes, where: str) -> str:
    found = _CHARSET.search(header)
    name = found[1].decode("ascii") if found else "utf-8"
    if name.upper() == "CHARSET":  # the template's placeholder, never filled in
        return "utf-8"
    try:
        "".encode(name)
    except LookupError as error:
        raise FormatError(f"{where}: its header names the unknown charset {name!r}") from error
    return name
