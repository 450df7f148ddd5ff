"""Archives from elsewhere, opened with distrust: nothing leaves the folder, nothing grows beyond its limits.

An archive is known by its first bytes, not by its name. Whatever a name in it claims, only plain files and folders
are made, with modes of ours; a link, a device, a path with `..` or a name given twice stops the whole.
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

from seqloom.corpus.sources.depot import remove
from seqloom.corpus.sources.tar import read_tar
from seqloom.errors import ArchiveError
from seqloom.printable import is_control
from seqloom.progress import Listener, Progress, ignore

_BLOCK = 1 << 18
_TAR_BLOCK = 512
_DEEPEST, _LONGEST_PART, _LONGEST_NAME = 64, 200, 1000  # file systems allow 255 bytes for a part of a path
_READ = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_LARGEST_DIRECTORY = 1 << 26  # bytes; zipfile holds the directory of a zip in memory, several times over
# What a broken or hostile archive makes the readers raise; the last four come of fields that hold nonsense.
BROKEN = (
    zipfile.BadZipFile, zlib.error, EOFError, gzip.BadGzipFile, struct.error, ValueError, OverflowError, IndexError,
)  # fmt: skip


class Limits(NamedTuple):
    """What an archive may unpack to. Text packs to a twentieth, rarely to a hundredth; a bomb to a thousandth."""

    bytes: int
    members: int = 200_000
    ratio: int = 200
    free: int = 1 << 24  # bytes to which the ratio does not apply


def unpack(file: Path, limits: Limits, task: str = "unpack", listen: Listener = ignore) -> None:
    """Replace an archive (zip, tar, gz or tar.gz) by what it holds, in the archive's own folder; leave other files be.

    Wheels stay as they are: they are read in place.

    Raises:
        ArchiveError: it is truncated, corrupt, encrypted or of another kind, exceeds the limits, or would leave its
            folder. What was extracted before is left for the caller to remove with the folder.
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
            raise ArchiveError(f"{file.name}: this kind of archive is not read; valid are zip, tar, tar.gz and gz")


class _Meter:
    """Counts what comes out of an archive, and stops it where a limit is."""

    def __init__(self, file: Path, limits: Limits, task: str, listen: Listener) -> None:
        self._name, self._packed = file.name, file.stat().st_size
        self._limits, self._task, self._listen = limits, task, listen
        self._bytes = self._members = 0

    def write(self, reader: IO[bytes] | gzip.GzipFile, target: Path, size: int | None = None) -> None:
        """Copy a stream, or the next `size` bytes of it, to a file that must not exist yet."""
        self._members += 1
        if self._members > self._limits.members:
            raise ArchiveError(f"{self._name}: it holds more than {self._limits.members:,} files")
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as writer:
            left = size
            while block := reader.read(_BLOCK if left is None else min(_BLOCK, left)):
                self._count(len(block))
                writer.write(block)
                left = None if left is None else left - len(block)
        if left:
            raise EOFError("it has no end")
        self._listen(Progress(self._task, self._bytes, None, "bytes"))

    def _count(self, size: int) -> None:
        self._bytes += size
        if self._bytes > self._limits.bytes:
            raise ArchiveError(f"{self._name}: it unpacks to more than {self._limits.bytes:,} bytes (max_bytes)")
        if self._bytes > self._limits.free + self._limits.ratio * self._packed:
            raise ArchiveError(
                f"{self._name}: {self._packed:,} bytes unpack to more than {self._limits.ratio} times as much: "
                "this is no text, but an archive that explodes"
            )


@contextmanager
def _distrust(file: Path) -> Iterator[None]:
    try:
        yield
    except BROKEN as error:
        raise ArchiveError(f"{file.name}: it is truncated or corrupt: {error}") from error
    except (RuntimeError, NotImplementedError) as error:  # zipfile: encrypted, or packed in an unknown way
        raise ArchiveError(f"{file.name}: it cannot be read: {error}") from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise ArchiveError(f"{file.name}: it holds the name {error.filename!r} twice") from error


def _starts(file: Path, magic: bytes) -> bool:
    with file.open("rb") as stream:
        return stream.read(len(magic)) == magic


def _is_tar(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(_TAR_BLOCK)[257:262] == b"ustar"


def _gunzip(file: Path, meter: _Meter) -> Path:
    """Decompress to the end, so that the check sum at the end is looked at too."""
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
                with archive.open(checked(file.name, member)) as reader:
                    meter.write(reader, target)


def open_zip(file: Path) -> zipfile.ZipFile:
    """Open a zip or a wheel.

    Raises:
        ArchiveError: its directory is larger than that of any corpus.
        BadZipFile: it is truncated or corrupt; so are, for nonsense in its fields, the other errors of `BROKEN`.
    """
    if (size := _directory_size(file)) > _LARGEST_DIRECTORY:
        raise ArchiveError(f"{file.name}: its directory has {size:,} bytes; at most {_LARGEST_DIRECTORY:,} are read")
    try:
        return zipfile.ZipFile(file)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise zipfile.BadZipFile("its directory begins before the file") from error


def _directory_size(file: Path) -> int:
    """Return how large the directory of a zip says that it is; 0 if it has none."""
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - (1 << 16) - 98))
        tail = stream.read()
    end, end_64 = tail.rfind(b"PK\x05\x06"), tail.rfind(b"PK\x06\x06")
    size = int.from_bytes(tail[end + 12 : end + 16], "little") if end >= 0 else 0
    if size == 0xFFFFFFFF and end_64 >= 0:
        return int.from_bytes(tail[end_64 + 40 : end_64 + 48], "little")
    return size


def checked(place: str, member: zipfile.ZipInfo) -> zipfile.ZipInfo:
    """Return a member that can be read in bounded memory: Python unpacks bzip2 and LZMA without bound."""
    if member.header_offset < 0:  # Python would seek there, which is an OSError and no BadZipFile
        raise ArchiveError(f"{place}: {member.filename[:80]!r}: it is truncated or corrupt: it begins before the file")
    if member.compress_type not in _READ:
        names = {zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "LZMA"}
        name = names.get(member.compress_type, f"method {member.compress_type}")
        raise ArchiveError(
            f"{place}: {member.filename[:80]!r} is packed with {name}; valid are deflate and no compression"
        )
    return member


def _untar(file: Path, meter: _Meter) -> None:
    with file.open("rb") as stream, _beside(file) as folder:
        for member in read_tar(stream, file.name):
            target = folder / safe_name(file.name, member.name)
            if not member.is_folder:
                meter.write(stream, target, member.size)


def safe_name(place: str, name: str) -> PurePosixPath:
    """Return the name of a member as a path.

    Raises:
        ArchiveError: it would leave the folder, is empty, holds control characters, or no file system would take it.
    """
    path = PurePosixPath(name)
    shown = f"{name[:80]!r}{'...' if len(name) > 80 else ''}"
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or PureWindowsPath(name).drive:
        raise ArchiveError(f"{place}: {shown} would leave the folder that it is extracted into")
    if not path.parts and not name.endswith("/"):
        raise ArchiveError(f"{place}: it holds a file without a name")
    if any(map(is_control, name)):
        raise ArchiveError(f"{place}: the name {shown} holds control characters")
    if len(path.parts) > _DEEPEST:
        raise ArchiveError(f"{place}: {shown} is {len(path.parts):,} folders deep; at most {_DEEPEST} are made")
    if len(name) > _LONGEST_NAME or any(len(part.encode()) > _LONGEST_PART for part in path.parts):
        raise ArchiveError(
            f"{place}: the name {shown} is too long; a part of it may have {_LONGEST_PART} bytes, the whole "
            f"{_LONGEST_NAME} characters"
        )
    return path


@contextmanager
def _beside(file: Path) -> Iterator[Path]:
    """Give a new folder beside the archive; what is in it at the end takes the archive's place."""
    folder = Path(tempfile.mkdtemp(prefix=".unpacked-", dir=file.parent))
    yield folder
    remove(file)
    for path in sorted(folder.iterdir()):
        path.rename(file.parent / path.name)
    folder.rmdir()
