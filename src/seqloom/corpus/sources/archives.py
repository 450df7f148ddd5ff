"""Extraction of untrusted archives: nothing is written outside the folder, and sizes are limited.

Archives are recognised by their first bytes, not by name. Only regular files and folders are created, with default
permissions; links, devices, paths with `..` and duplicate names are errors.
"""

import errno
import gzip
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, NamedTuple

from seqloom.corpus.sources.download_cache import remove
from seqloom.corpus.sources.tar import read_tar
from seqloom.errors import ArchiveError
from seqloom.printable import is_control
from seqloom.progress import Listener, Progress, ignore

_BLOCK = 1 << 18
_TAR_BLOCK = 512
_DEEPEST, _LONGEST_PART, _LONGEST_NAME = 64, 200, 1000  # file systems allow 255 bytes per part of a path
_READ = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_LARGEST_DIRECTORY = 1 << 26  # bytes; zipfile needs a multiple of this in memory
# Errors that zipfile and gzip raise for broken or malicious archives; the last four for invalid fields.
BROKEN = (
    zipfile.BadZipFile, zlib.error, EOFError, gzip.BadGzipFile, struct.error, ValueError, OverflowError, IndexError,
)  # fmt: skip


class Limits(NamedTuple):
    """Limits on unpacking. Text compresses to about 1/20, rarely 1/100 of its size, a bomb to 1/1000."""

    bytes: int
    members: int = 200_000
    ratio: int = 200
    free: int = 1 << 24  # the ratio is not checked below so many bytes


def unpack(file: Path, limits: Limits, task: str = "unpack", listen: Listener = ignore) -> None:
    """Replace an archive (zip, tar, gz or tar.gz) by its contents, in its own folder; other files are left unchanged.

    Wheels are not extracted, because they are read in place.

    Raises:
        ArchiveError: the archive is truncated, corrupt, encrypted or of an unsupported kind, exceeds the limits, or
            points outside its folder. The caller removes the folder with any partial results.
    """
    meter = _Meter(file, limits, task, listen)
    with _distrust(file):
        if _starts(file, b"\x1f\x8b"):
            file = _gunzip(file, meter)
        if file.suffix == ".whl":
            return
        if _starts(file, b"PK\x03\x04") or _starts(file, b"PK\x05\x06"):
            _unzip(file, meter)
        elif _is_tar(file):
            _untar(file, meter)
        elif _starts(file, b"BZh") or _starts(file, b"\xfd7zXZ\x00") or _starts(file, b"\x28\xb5\x2f\xfd"):
            raise ArchiveError(f"{file.name}: unsupported kind of archive; supported are zip, tar, tar.gz and gz")


class _Meter:
    """Counts what is extracted from an archive, and enforces the limits."""

    def __init__(self, file: Path, limits: Limits, task: str, listen: Listener) -> None:
        self._name, self._packed = file.name, file.stat().st_size
        self._limits, self._task, self._listen = limits, task, listen
        self._bytes = self._members = 0

    def write(self, reader: IO[bytes] | gzip.GzipFile, target: Path, size: int | None = None) -> None:
        """Copy a stream, or its next `size` bytes, to a new file."""
        self._members += 1
        if self._members > self._limits.members:
            raise ArchiveError(f"{self._name} contains more than {self._limits.members:,} files")
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as writer:
            left = size
            while block := reader.read(_BLOCK if left is None else min(_BLOCK, left)):
                self._count(len(block))
                writer.write(block)
                left = None if left is None else left - len(block)
        if left:
            raise EOFError("unexpected end")
        self._listen(Progress(self._task, self._bytes, None, "bytes"))

    def _count(self, size: int) -> None:
        self._bytes += size
        if self._bytes > self._limits.bytes:
            raise ArchiveError(f"{self._name} unpacks to more than {self._limits.bytes:,} bytes (max_bytes)")
        if self._bytes > self._limits.free + self._limits.ratio * self._packed:
            raise ArchiveError(
                f"{self._name}: {self._packed:,} bytes unpack to more than {self._limits.ratio} times as much, "
                "which no text does: probably a decompression bomb"
            )


@contextmanager
def _distrust(file: Path) -> Iterator[None]:
    try:
        yield
    except BROKEN as error:
        raise ArchiveError(f"{file.name} is truncated or corrupt: {error}") from error
    except (RuntimeError, NotImplementedError) as error:  # zipfile: encryption, unknown compression
        raise ArchiveError(f"{file.name} cannot be read: {error}") from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise ArchiveError(f"{file.name} contains the name {error.filename!r} twice") from error


def _starts(file: Path, magic: bytes) -> bool:
    with file.open("rb") as stream:
        return stream.read(len(magic)) == magic


def _is_tar(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(_TAR_BLOCK)[257:262] == b"ustar"


def _gunzip(file: Path, meter: _Meter) -> Path:
    """Decompress completely, so that the checksum at the end is verified."""
    name = file.name.removesuffix(".gz")
    if name.endswith(".tgz"):
        name = name.removesuffix(".tgz") + ".tar"
    if name == file.name:
        name += ".unpacked"
    target = file.with_name(name)
    with gzip.open(file) as reader:
        meter.write(reader, target)
    remove(file)
    return target


def _unzip(file: Path, meter: _Meter) -> None:
    with open_zip(file) as archive, _beside(file) as folder:
        for member in archive.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise ArchiveError(f"{file.name}: {member.filename[:80]!r} is a link or a device, not a file")
            target = folder / safe_name(file.name, member.filename)
            if not member.is_dir():
                with archive.open(checked_member(file.name, member)) as reader:
                    meter.write(reader, target)


def open_zip(file: Path) -> zipfile.ZipFile:
    """Open a zip or wheel.

    Raises:
        ArchiveError: its directory is too large.
        BadZipFile: it is truncated or corrupt; invalid fields may also raise the other errors in `BROKEN`.
    """
    if (size := _directory_size(file)) > _LARGEST_DIRECTORY:
        raise ArchiveError(f"{file.name}: the directory has {size:,} bytes; at most {_LARGEST_DIRECTORY:,} are read")
    try:
        return zipfile.ZipFile(file)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise zipfile.BadZipFile("the directory begins before the file") from error


def _directory_size(file: Path) -> int:
    """Return the declared size of a zip's directory; 0 if there is none."""
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - (1 << 16) - 98))
        tail = stream.read()
    end, end_64 = tail.rfind(b"PK\x05\x06"), tail.rfind(b"PK\x06\x06")
    size = int.from_bytes(tail[end + 12 : end + 16], "little") if end >= 0 else 0
    if size == 0xFFFFFFFF and end_64 >= 0:
        return int.from_bytes(tail[end_64 + 40 : end_64 + 48], "little")
    return size


def checked_member(place: str, member: zipfile.ZipInfo) -> zipfile.ZipInfo:
    """Return the member. Raises `ArchiveError` for bzip2 and LZMA, which Python decompresses in unbounded memory."""
    if member.header_offset < 0:  # seeking there would raise OSError instead of BadZipFile
        raise ArchiveError(f"{place}: {member.filename[:80]!r} is truncated or corrupt: it begins before the file")
    if member.compress_type not in _READ:
        names = {zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "LZMA"}
        name = names.get(member.compress_type, f"method {member.compress_type}")
        raise ArchiveError(
            f"{place}: {member.filename[:80]!r} is compressed with {name}; supported are deflate and no compression"
        )
    return member


def _untar(file: Path, meter: _Meter) -> None:
    with file.open("rb") as stream, _beside(file) as folder:
        for member in read_tar(stream, file.name):
            target = folder / safe_name(file.name, member.name)
            if not member.is_folder:
                meter.write(stream, target, member.size)


def safe_name(place: str, name: str) -> PurePosixPath:
    """Return a member's name as a path.

    Raises:
        ArchiveError: it points outside the folder, is empty or too long, or contains control characters.
    """
    path = PurePosixPath(name)
    shown = f"{name[:80]!r}{'...' if len(name) > 80 else ''}"
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or PureWindowsPath(name).drive:
        raise ArchiveError(f"{place}: {shown} points outside the target folder")
    if not path.parts and not name.endswith("/"):
        raise ArchiveError(f"{place} contains a file without a name")
    if any(map(is_control, name)):
        raise ArchiveError(f"{place}: the name {shown} contains control characters")
    if len(path.parts) > _DEEPEST:
        raise ArchiveError(f"{place}: {shown} is {len(path.parts):,} folders deep; at most {_DEEPEST} are allowed")
    if len(name) > _LONGEST_NAME or any(len(part.encode()) > _LONGEST_PART for part in path.parts):
        raise ArchiveError(
            f"{place}: the name {shown} is too long; at most {_LONGEST_PART} bytes per part and "
            f"{_LONGEST_NAME} characters in total are allowed"
        )
    return path


@contextmanager
def _beside(file: Path) -> Iterator[Path]:
    """Yield a new folder beside the archive; at the end, its contents replace the archive."""
    folder = Path(tempfile.mkdtemp(prefix=".unpacked-", dir=file.parent))
    yield folder
    remove(file)
    for path in sorted(folder.iterdir()):
        path.rename(file.parent / path.name)
    folder.rmdir()
