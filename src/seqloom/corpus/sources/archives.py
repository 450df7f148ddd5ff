"""Archives from elsewhere, opened with distrust: nothing leaves the folder, nothing grows beyond its limits.

An archive is known by its first bytes, not by its name. Whatever a name in it claims, only plain files and folders
are made, with modes of ours; a link, a device, a path with `..` or a name given twice stops the whole.
"""

import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, NamedTuple

from seqloom.corpus.sources.depot import remove
from seqloom.errors import ArchiveError
from seqloom.progress import Listener, Progress, ignore

_BLOCK = 1 << 18
_TAR_BLOCK = 512
# What a broken or hostile archive makes the readers raise.
BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, gzip.BadGzipFile)


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

    def write(self, reader: IO[bytes] | gzip.GzipFile, target: Path) -> None:
        """Copy a stream to a file that must not exist yet."""
        self._members += 1
        if self._members > self._limits.members:
            raise ArchiveError(f"{self._name}: it holds more than {self._limits.members:,} files")
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as writer:
            while block := reader.read(_BLOCK):
                self._count(len(block))
                writer.write(block)
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
    folder = file.parent / ".unpacked"
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise ArchiveError(f"{file.name}: {member.filename!r} is a link or a device, not a file")
            target = _inside(file, folder, member.filename)
            if not member.is_dir():
                with archive.open(member) as reader:
                    meter.write(reader, target)
    _settle(file, folder)


def _untar(file: Path, meter: _Meter) -> None:
    folder = file.parent / ".unpacked"
    with tarfile.open(file, "r:") as archive:
        for member in archive:
            if not (member.isreg() or member.isdir()):
                raise ArchiveError(f"{file.name}: {member.name!r} is a link or a device, not a file")
            target = _inside(file, folder, member.name)
            if member.isreg():
                reader = archive.extractfile(member)
                assert reader is not None
                with reader:
                    meter.write(reader, target)
        end = archive.offset
    # A tar ends with a block of zeros; tarfile takes a file that breaks off between two members for a whole one.
    with file.open("rb") as stream:
        stream.seek(end)
        if stream.read(_TAR_BLOCK) != bytes(_TAR_BLOCK):
            raise ArchiveError(f"{file.name}: it is truncated or corrupt: it has no end")
    _settle(file, folder)


def _inside(file: Path, folder: Path, name: str) -> Path:
    """The place of a member below the folder."""
    return folder / safe_name(file.name, name)


def safe_name(place: str, name: str) -> PurePosixPath:
    """Return the name of a member as a path. Raises `ArchiveError` where it would leave the folder."""
    path = PurePosixPath(name)
    unsafe = path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or PureWindowsPath(name).drive
    if unsafe:
        raise ArchiveError(f"{place}: {name!r} would leave the folder that it is extracted into")
    return path


def _settle(file: Path, folder: Path) -> None:
    """Let what was extracted take the archive's place."""
    remove(file)
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            path.rename(file.parent / path.name)
        folder.rmdir()
