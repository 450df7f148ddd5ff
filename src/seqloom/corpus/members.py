"""The files of a fetched corpus, by name: those of a folder, or of a wheel or zip that is read in place."""

import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from seqloom.corpus.sources.archives import BROKEN, checked_member, open_zip
from seqloom.errors import ArchiveError, CorpusError, FormatError

_LARGEST_CATALOGUE = 1 << 28  # bytes; catalogues are read whole, text files line by line
_WILD = re.compile(r"\{lang\}|\{group\}|\*\*/|\*\*|\*|\?")
_IN_WHEEL = (".whl", ".zip")


class MatchedFile(NamedTuple):
    """A file that matches a pattern for one language; `group` is the text matched by `{group}`, or empty."""

    name: str
    group: str


class Members:
    """The files of a corpus in alphabetical order. `place` names the corpus in errors.

    Without `names`, all files of the archive or folder are members.
    """

    def __init__(
        self, place: str, folder: Path, archive: zipfile.ZipFile | None, names: Sequence[str] | None = None
    ) -> None:
        self.place = place
        self._folder, self._archive = folder, archive
        if names is not None:
            self.names = sorted(names)
        elif archive is not None:
            self.names = sorted(name for name in archive.namelist() if not name.endswith("/"))
        else:
            self.names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Open a file for reading. Raises `ArchiveError` if the archive is broken."""
        if self._archive is None:
            with (self._folder / name).open("rb") as stream:
                yield stream
            return
        try:
            opened = self._archive.open(checked_member(self.place, self._archive.getinfo(name)))
        except (*BROKEN, RuntimeError, NotImplementedError) as error:  # the last two: encryption, unknown compression
            raise self._corrupt(name, error) from error
        with opened as stream:
            try:
                yield stream
            except (zipfile.BadZipFile, zlib.error, EOFError) as error:
                raise self._corrupt(name, error) from error

    def _corrupt(self, name: str, error: Exception) -> ArchiveError:
        return ArchiveError(f"{self.place}: {name} is truncated or corrupt: {error}")

    def read(self, name: str) -> bytes:
        """Return a file's content. Raises `FormatError` if it is larger than any catalogue should be."""
        with self.open(name) as stream:
            content = stream.read(_LARGEST_CATALOGUE + 1)
        if len(content) > _LARGEST_CATALOGUE:
            raise FormatError(f"{self.place}: {name} is larger than {_LARGEST_CATALOGUE:,} bytes")
        return content

    def only(self) -> str:
        """Return the name of the only file. Raises `FormatError` if there is not exactly one."""
        if len(self.names) != 1:
            listed = ", ".join(self.names[:5])
            raise FormatError(f"{self.place}: there are {len(self.names)} files ({listed}); select them with `members`")
        return self.names[0]

    def matching(self, pattern: str, language: str) -> dict[tuple[str, ...], MatchedFile]:
        """Return the files that match a pattern for a language, by the texts that its wildcards match."""
        expression = expand(pattern, language)
        found = {}
        for name in self.names:
            if match := expression.fullmatch(name):
                found[match.groups()] = MatchedFile(name, match.groupdict().get("group", ""))
        return found


@contextmanager
def open_members(place: str, folder: Path) -> Iterator[Members]:
    """Open a corpus that was fetched into a folder: its files, or the contents of a single wheel or zip.

    Raises:
        CorpusError: the folder does not exist.
        ArchiveError: the wheel or zip is truncated or corrupt.
    """
    if not folder.is_dir():
        raise CorpusError(f"{place}: {folder} does not exist: run the stage download_corpus first (`dvc repro`)")
    files = [path for path in folder.rglob("*") if path.is_file()]
    if len(files) != 1 or files[0].suffix not in _IN_WHEEL:
        yield Members(place, folder, None)
        return
    try:
        archive = open_zip(files[0])
    except (*BROKEN, NotImplementedError) as error:
        raise ArchiveError(f"{place}: {files[0].name} is truncated or corrupt: {error}") from error
    with archive:
        yield Members(place, folder, archive)


def expand(pattern: str, language: str) -> re.Pattern[str]:
    """Return a glob as a regular expression for one language.

    `*` and `?` match within a folder, `**` across folders. `pt-BR` also matches `pt_BR`. The groups of the expression
    are the wildcards, so files of two languages with equal groups belong together.
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
