"""Local copies of files identified by sha256, in earlier downloads or a mirror."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from seqloom.corpus.sources.lock import SourceLock
from seqloom.errors import HashError, SourceError
from seqloom.files import sha256_of
from seqloom.progress import Listener, Progress

MIRROR_VARIABLE = "SEQLOOM_MIRROR"
_BLOCK = 1 << 20


class DownloadCache(NamedTuple):
    """The folders of this machine that may already contain the files to fetch.

    `downloads` is seqloom's cache, which may be deleted at any time; `mirror` is a folder that the user fills for
    offline work, or None. `kept` are further folders to search. `lock` has the hashes of files without a pin.
    """

    downloads: Path
    mirror: Path | None
    kept: tuple[Path, ...] = ()
    lock: SourceLock | None = None

    def folder_of(self, sha256: str) -> Path:
        """Return the folder for the download of the file with this sha256."""
        return self.downloads / sha256[:16]

    def find(self, corpus: str, sha256: str, wanted: Callable[[str], bool]) -> Path | None:
        """Return a file with this sha256 and a wanted name, or None.

        Raises:
            HashError: the mirror has files with such a name, but none with this sha256.
            SourceError: the mirror is not a folder.
        """
        wrong = None
        for path in _named(self._mirrors(corpus), wanted):
            if sha256_of(path) == sha256:
                return path
            wrong = path
        if wrong is not None:
            raise HashError(
                f"{corpus}: {wrong} does not match its pin ({mismatch(wrong, sha256)}); "
                f"it is incomplete or from another release: replace it, or remove it from {MIRROR_VARIABLE}"
            )
        places = (self.folder_of(sha256), *self.kept)
        return next((path for path in _named(places, wanted) if sha256_of(path) == sha256), None)

    def find_named(self, corpus: str, name: str, sha256: str | None) -> Path | None:
        """Return a file with this name and sha256 (None: any, but only from the mirror), or None.

        Raises:
            HashError: the mirror has files with this name, but none with this sha256.
            SourceError: the mirror is not a folder.
        """
        if sha256 is None:
            return next(iter(_named(self._mirrors(corpus), lambda found: found == name)), None)
        return self.find(corpus, sha256, lambda found: found == name)

    def _mirrors(self, corpus: str) -> tuple[Path, ...]:
        if self.mirror is None:
            return ()
        if not self.mirror.is_dir():
            raise SourceError(f"{MIRROR_VARIABLE} is {self.mirror}, which is not a folder; create or unset it")
        return (self.mirror / corpus, self.mirror)


def _named(folders: tuple[Path, ...], wanted: Callable[[str], bool]) -> list[Path]:
    found = []
    for folder in folders:
        if folder.is_dir():
            found += sorted(path for path in folder.iterdir() if wanted(path.name) and path.is_file())
    return found


def mismatch(path: Path, sha256: str) -> str:
    """Describe how a file differs from its pin."""
    return f"{path.stat().st_size:,} bytes with sha256 {sha256_of(path)}, not {sha256}"


def copy(source: Path, target: Path, task: str, listen: Listener) -> None:
    """Copy a file to a new path, reporting progress in bytes."""
    total, done = source.stat().st_size, 0
    with source.open("rb") as reader, target.open("xb") as writer:
        while block := reader.read(_BLOCK):
            writer.write(block)
            done += len(block)
            listen(Progress(task, done, total, "bytes"))


def copy_tree(source: Path, target: Path, task: str, listen: Listener) -> None:
    """Copy the files below a folder; links to files are followed, links to folders are not."""
    for path in sorted(source.rglob("*")):
        if path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            copy(path, place, task, listen)


def remove(path: Path) -> None:
    """Remove a file or folder if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
