"""The files of one fetched corpus, by name, whether they lie in a folder or in a wheel or zip that is read in place.

It knows nothing of what the files hold.
"""

import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from seqloom.corpus.sources.archives import BROKEN, checked, open_zip
from seqloom.errors import ArchiveError, CorpusError, FormatError

_LARGEST_CATALOGUE = 1 << 28  # bytes; a catalogue is read whole, a text file line by line
_WILD = re.compile(r"\{lang\}|\{group\}|\*\*/|\*\*|\*|\?")
_IN_WHEEL = (".whl", ".zip")


class Side(NamedTuple):
    """A file that matches a pattern for one language: its name, and what the pattern's `{group}` stands for."""

    name: str
    group: str


class Members:
    """The files of a corpus in alphabetical order. `place` is how errors name the corpus."""

    def __init__(self, place: str, folder: Path, archive: zipfile.ZipFile | None) -> None:
        self.place = place
        self._folder, self._archive = folder, archive
        if archive is not None:
            self.names = sorted(name for name in archive.namelist() if not name.endswith("/"))
        else:
            self.names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Open a file for reading. Raises `ArchiveError` where the archive around it is broken."""
        if self._archive is None:
            with (self._folder / name).open("rb") as stream:
                yield stream
            return
        try:
            opened = self._archive.open(checked(self.place, self._archive.getinfo(name)))
        except (*BROKEN, RuntimeError, NotImplementedError) as error:  # the last two: encrypted, in an unknown way
            raise self._corrupt(name, error) from error
        with opened as stream:
            try:
                yield stream
            except (zipfile.BadZipFile, zlib.error, EOFError) as error:
                raise self._corrupt(name, error) from error

    def _corrupt(self, name: str, error: Exception) -> ArchiveError:
        return ArchiveError(f"{self.place}: {name}: it is truncated or corrupt: {error}")

    def read(self, name: str) -> bytes:
        """Return the whole of a file. Raises `FormatError` for one that is larger than a catalogue ever is."""
        with self.open(name) as stream:
            content = stream.read(_LARGEST_CATALOGUE + 1)
        if len(content) > _LARGEST_CATALOGUE:
            raise FormatError(f"{self.place}: {name}: it is larger than {_LARGEST_CATALOGUE:,} bytes")
        return content

    def only(self) -> str:
        """Return the name of the only file. Raises `FormatError` if there are others."""
        if len(self.names) != 1:
            listed = ", ".join(self.names[:5])
            raise FormatError(f"{self.place}: there are {len(self.names)} files ({listed}); choose with `members`")
        return self.names[0]

    def sides(self, pattern: str, language: str) -> dict[tuple[str, ...], Side]:
        """Return the files that match a pattern for a language, by what its wild cards stand for."""
        expression = expand(pattern, language)
        found = {}
        for name in self.names:
            if match := expression.fullmatch(name):
                found[match.groups()] = Side(name, match.groupdict().get("group", ""))
        return found


@contextmanager
def open_members(place: str, folder: Path) -> Iterator[Members]:
    """Open the corpus that was fetched into a folder: the one wheel or zip in it, or else its files.

    Raises:
        CorpusError: there is no such folder.
        ArchiveError: the wheel or zip is truncated or corrupt.
    """
    if not folder.is_dir():
        raise CorpusError(f"{place}: {folder} is not there: run the stage download_corpus (`dvc repro`) first")
    files = [path for path in folder.rglob("*") if path.is_file()]
    if len(files) != 1 or files[0].suffix not in _IN_WHEEL:
        yield Members(place, folder, None)
        return
    try:
        archive = open_zip(files[0])
    except (*BROKEN, NotImplementedError) as error:
        raise ArchiveError(f"{place}: {files[0].name}: it is truncated or corrupt: {error}") from error
    with archive:
        yield Members(place, folder, archive)


def expand(pattern: str, language: str) -> re.Pattern[str]:
    """Return a glob as an expression for one language.

    `*` and `?` stay within a folder, `**` does not. `pt-BR` also matches where a file writes `pt_BR`. The groups of the
    expression are the wild cards, so that two files with equal groups are two sides of one thing.
    """
    parts, end, grouped = [], 0, False
    for wild in _WILD.finditer(pattern):
        parts.append(re.escape(pattern[end : wild.start()]))
        end = wild.end()
        match wild[0]:
            case "{lang}":
                parts.append("[-_]".join(map(re.escape, language.split("-"))))
            case "{group}":
                parts.append("(?P=group)" if grouped else "(?P<group>[^/]+)")
                grouped = True
            case "**/":
                parts.append("((?:[^/]+/)*)")
            case "**":
                parts.append("(.*)")
            case "*":
                parts.append("([^/]*)")
            case _:
                parts.append("([^/])")
    parts.append(re.escape(pattern[end:]))
    return re.compile("".join(parts))
