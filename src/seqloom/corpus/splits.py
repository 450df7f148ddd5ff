"""The three splits that prepare_corpus writes and all later stages read.

A split is a file: UTF-8 with LF line ends, a header line, and five TAB-separated columns. Texts are normalised, so they
contain no TAB or line break. The training split of a large corpus is a folder of Parquet shards instead, with the same
columns and a manifest (`seqloom.sharding.manifest`); `read_split` reads both.
"""

from collections.abc import Iterator, Sequence
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple, Self

from seqloom.arrow import pa, read_parquet
from seqloom.errors import FormatError
from seqloom.sharding.manifest import MANIFEST, Manifest, Shard, read_manifest, write_manifest

_REMEDY = "run the stage prepare_corpus again"
_READ_ROWS = 8192  # pairs of a shard that are held at once


class Pair(NamedTuple):
    """A text and its translation; `direction` is as in `en-de`, `group` the catalogue within the corpus or empty."""

    source: str
    target: str
    direction: str
    corpus: str
    group: str


class Split(IntEnum):
    """The splits. A text in several splits is dropped from those with higher numbers: see `splitting`."""

    train = 0
    valid = 1
    test = 2

    @property
    def file_name(self) -> str:
        """The name of the split's file in data/corpus."""
        return f"{self.name}.tsv"


HELD_OUT = (Split.valid, Split.test)
HEADER = "\t".join(Pair._fields) + "\n"


def line_of(pair: Pair) -> str:
    """Return the line of a pair in a split file. Raises `ValueError` if a field contains a TAB or line break."""
    line = "\t".join(pair)
    if line.count("\t") != len(pair) - 1 or "\n" in line or "\r" in line:
        raise ValueError(f"contains a TAB or line break: {pair.source!r}")
    return line + "\n"


class SplitWriter:
    """Context manager that writes pairs to a new file. The caller renames the file when it is complete."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] = path.open("x", encoding="utf-8", newline="\n")
        self._file.write(HEADER)
        self.pairs = 0

    def write(self, pair: Pair) -> None:
        """Append a pair. Raises `FormatError` if a text contains a TAB or line break, that is, is not normalised."""
        try:
            self._file.write(line_of(pair))
        except ValueError as error:
            raise FormatError(f"{self._path}: pair {self.pairs + 1} {error}") from error
        self.pairs += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()


def read_split(path: Path) -> Iterator[Pair]:
    """Yield the pairs of a split in order.

    Args:
        path: the file of the split. If the split is a folder of shards, which has the name of the file without its
            suffix, the shards are read.

    Raises:
        FormatError: the file is missing or malformed; the error names file and line.
        ShardError: the manifest or a shard is missing or malformed.
    """
    folder = shard_folder(path)
    return _read_file(path) if folder is None else _read_shards(folder)


def shard_folder(path: Path) -> Path | None:
    """Return the folder with the shards of a split, given its file as for `read_split`, or None if it is a file."""
    folder = path if path.is_dir() else path.with_suffix("")
    return folder if (folder / MANIFEST).is_file() and not path.is_file() else None


def read_shards_of(folder: Path) -> Manifest:
    """Return the manifest of a split that is a folder of shards. Raises `ShardError` if a shard is missing."""
    return read_manifest(folder, _REMEDY)


def write_shards_of(folder: Path, shards: Sequence[Shard]) -> None:
    """Write the manifest of a split whose shards are in a folder."""
    write_manifest(folder, Pair._fields, shards)


def read_shard(path: Path) -> Iterator[Pair]:
    """Yield the pairs of a Parquet shard in order. Raises `FormatError` if the file is malformed."""
    try:
        for batch in read_parquet(path, Pair._fields, _READ_ROWS):
            yield from map(Pair, *(column.to_pylist() for column in batch.columns))
    except (OSError, ValueError, TypeError, pa.ArrowException) as error:
        raise FormatError(f"{path}: is not a shard of pairs: {error}; {_REMEDY}") from error


def _read_shards(folder: Path) -> Iterator[Pair]:
    for shard in read_shards_of(folder).shards:
        yield from read_shard(folder / shard.name)


def _read_file(path: Path) -> Iterator[Pair]:
    try:
        file = path.open(encoding="utf-8", newline="\n")
    except FileNotFoundError as error:
        raise FormatError(f"{path} does not exist: run the stage prepare_corpus first (`dvc repro`)") from error
    with file:
        number = 0
        try:
            for number, line in enumerate(file, 1):
                if number == 1:
                    if line != HEADER:
                        raise FormatError(f"{path}: line 1: must be the header {HEADER.strip()!r}, TAB-separated")
                    continue
                fields = line.removesuffix("\n").split("\t")
                if len(fields) != len(Pair._fields):
                    raise FormatError(f"{path}: line {number}: found {len(fields)} columns, need {len(Pair._fields)}")
                yield Pair(*fields)
        except UnicodeDecodeError as error:
            raise FormatError(f"{path}: after line {number}: not UTF-8: {error.reason}") from error
    if number == 0:
        raise FormatError(f"{path} is empty and lacks even the header: run the stage prepare_corpus again")
