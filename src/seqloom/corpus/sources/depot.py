"""Files known by their sha256, and the places where one may already lie.

It knows nothing of networks or archives.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from seqloom.errors import HashError, SourceError
from seqloom.files import sha256_of
from seqloom.progress import Listener, Progress

MIRROR_VARIABLE = "SEQLOOM_MIRROR"
_BLOCK = 1 << 20


class Depot(NamedTuple):
    """Where fetched files may already lie on this machine.

    `downloads` is seqloom's own (it may be deleted at any time), `mirror` a folder that the user fills for work
    without a network, or None. `kept` are further folders to look into.
    """

    downloads: Path
    mirror: Path | None
    kept: tuple[Path, ...] = ()

    def shelf(self, sha256: str) -> Path:
        """Return the folder in which the download of this sha256 grows and stays."""
        return self.downloads / sha256[:16]

    def find(self, corpus: str, sha256: str, wanted: Callable[[str], bool]) -> Path | None:
        """Return a file with this sha256 whose name is wanted, or None.

        Raises:
            HashError: the mirror has files of that name, and none of them is the right one.
            SourceError: the mirror is not a folder.
        """
        wrong = None
        for path in _named(self._mirrors(corpus), wanted):
            if sha256_of(path) == sha256:
                return path
            wrong = path
        if wrong is not None:
            raise HashError(
                f"{corpus}: {wrong} is not the file that params.yaml pins ({mismatch(wrong, sha256)}); "
                f"it is incomplete or of another release: replace it, or take it out of {MIRROR_VARIABLE}"
            )
        places = (self.shelf(sha256), *self.kept)
        return next((path for path in _named(places, wanted) if sha256_of(path) == sha256), None)

    def _mirrors(self, corpus: str) -> tuple[Path, ...]:
        if self.mirror is None:
            return ()
        if not self.mirror.is_dir():
            raise SourceError(f"{MIRROR_VARIABLE} names {self.mirror}, which is not a folder; make it, or unset it")
        return (self.mirror / corpus, self.mirror)


def _named(folders: tuple[Path, ...], wanted: Callable[[str], bool]) -> list[Path]:
    found = []
    for folder in folders:
        if folder.is_dir():
            found += sorted(path for path in folder.iterdir() if wanted(path.name) and path.is_file())
    return found


def mismatch(path: Path, sha256: str) -> str:
    """Say how a file differs from the one that is pinned."""
    return f"{path.stat().st_size:,} bytes with sha256 {sha256_of(path)}, not {sha256}"


def copy(source: Path, target: Path, task: str, listen: Listener) -> None:
    """Copy a file to a path that does not exist yet, telling the bytes."""
    total, done = source.stat().st_size, 0
    with source.open("rb") as reader, target.open("xb") as writer:
        while block := reader.read(_BLOCK):
            writer.write(block)
            done += len(block)
            listen(Progress(task, done, total, "bytes"))


def copy_tree(source: Path, target: Path, task: str, listen: Listener) -> None:
    """Copy the files below a folder; links are followed to files only."""
    for path in sorted(source.rglob("*")):
        if path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            copy(path, place, task, listen)


def remove(path: Path) -> None:
    """Remove a file or a folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
