"""Reader for untrusted tar files, in bounded memory: regular files and folders with UTF-8 names.

Python's tarfile reads headers of any size into memory, and some inputs make it loop or raise errors other than
TarError. This reader supports ustar, GNU long names, and PAX paths and sizes; links, devices, sparse files and other
headers are errors.
"""

from collections.abc import Iterator
from typing import IO, NamedTuple

from seqloom.errors import ArchiveError

_BLOCK = 512
_LARGEST_HEADER = 1 << 16  # bytes of a PAX header or long name; usually a few hundred
_FILE, _FOLDER = (b"0", b"\0", b"7"), b"5"
_LONG_NAME, _LONG_LINK = b"L", b"K"
_PAX, _PAX_GLOBAL = (b"x", b"X"), b"g"


class TarMember(NamedTuple):
    """A regular file or folder; when it is yielded, the stream is at its first byte."""

    name: str
    is_folder: bool
    size: int


def read_tar(stream: IO[bytes], place: str) -> Iterator[TarMember]:
    """Yield the members in order; the caller reads at most `size` bytes of each before continuing.

    Raises:
        ArchiveError: the tar, named by `place`, is truncated or corrupt, or has unsupported contents.
    """
    given: dict[str, bytes] = {}
    while True:
        header = stream.read(_BLOCK)
        if header == bytes(_BLOCK):
            return
        if len(header) < _BLOCK:
            raise _corrupt(place, "unexpected end")
        if _number(header[148:156], place) != sum(header[:148]) + 8 * 0x20 + sum(header[156:]):
            raise _corrupt(place, "the checksum of a header is wrong")
        kind, size = header[156:157], _number(header[124:136], place)
        start = stream.tell()
        if kind == _LONG_NAME:
            given["path"] = _text(stream, size, place).rstrip(b"\0")
        elif kind == _LONG_LINK:
            _text(stream, size, place)
        elif kind in _PAX:
            given |= _records(_text(stream, size, place), place)
        elif kind == _PAX_GLOBAL:
            if _KNOWN & _records(_text(stream, size, place), place).keys():
                raise ArchiveError(f"{place}: a global header sets path or size, which is not supported")
        else:
            name = given.pop("path", None)
            name = _name(header) if name is None else name
            if "size" in given:
                size = _decimal(given.pop("size"), place)
            if any(key.startswith("GNU.sparse") for key in given) or kind == b"S":
                raise ArchiveError(f"{place}: {_shown(name)} is a sparse file, which is not supported; repack it")
            if kind not in _FILE and kind != _FOLDER:
                raise ArchiveError(f"{place}: {_shown(name)} is a link or a device, not a file")
            given = {}
            is_folder = kind == _FOLDER or name.endswith(b"/")
            size = 0 if is_folder else size
            yield TarMember(_decoded(name, place), is_folder, size)
        stream.seek(start + size + -size % _BLOCK)


_KNOWN = {"path", "size"}


def _corrupt(place: str, why: str) -> ArchiveError:
    return ArchiveError(f"{place} is truncated or corrupt: {why}")


def _number(field: bytes, place: str) -> int:
    """Return a number in a header: octal digits, or GNU's base 256 for large ones."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if any(digit not in b"01234567" for digit in digits):
        raise _corrupt(place, "a header contains an invalid number")
    return int(digits or b"0", 8)


def _decimal(text: bytes, place: str) -> int:
    if not text.isdigit() or len(text) > 18:
        raise _corrupt(place, "the size in a PAX header is not a number")
    return int(text)


def _text(stream: IO[bytes], size: int, place: str) -> bytes:
    if size > _LARGEST_HEADER:
        raise ArchiveError(f"{place}: a header has {size:,} bytes; at most {_LARGEST_HEADER:,} are supported")
    content = stream.read(size)
    if len(content) < size:
        raise _corrupt(place, "unexpected end")
    return content


def _records(content: bytes, place: str) -> dict[str, bytes]:
    """Return the records of a PAX header, each written as length, space, key, `=`, value and LF."""
    records = {}
    rest = content.rstrip(b"\0")
    while rest:
        length, space, _ = rest[:20].partition(b" ")
        if not space or not length.isdigit() or not len(length) + 3 <= int(length) <= len(rest):
            raise _corrupt(place, "a record of a PAX header has a wrong length")
        record, rest = rest[: int(length)], rest[int(length) :]
        key, equals, value = record[len(length) + 1 :].partition(b"=")
        if not equals or not value.endswith(b"\n"):
            raise _corrupt(place, "a record of a PAX header is invalid")
        records[key.decode("utf-8", "replace")] = value[:-1]
    return records


def _name(header: bytes) -> bytes:
    name = header[:100].split(b"\0", 1)[0]
    prefix = header[345:500].split(b"\0", 1)[0] if header[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _decoded(name: bytes, place: str) -> str:
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ArchiveError(f"{place}: the name {_shown(name)} is not UTF-8; repack it") from error


def _shown(name: bytes) -> str:
    return repr(name.decode("utf-8", "backslashreplace")[:80])
