"""The three files that prepare_corpus leaves, and how every later stage reads them.

UTF-8, LF, a header line, five TAB-separated columns. Texts are normalised, so none holds a TAB or a line break.
"""

from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple, Self

from seqloom.errors import FormatError


class Pair(NamedTuple):
    """Two texts that mean the same; `direction` is as in `en-de`, `group` the catalogue within the corpus or empty."""

    source: str
    target: str
    direction: str
    corpus: str
    group: str


class Split(IntEnum):
    """The splits, in the order in which one gives way to another: see `splitting`."""

    train = 0
    valid = 1
    test = 2

    @property
    def file_name(self) -> str:
        """The name of its file in data/corpus."""
        return f"{self.name}.tsv"


_HEADER = "\t".join(Pair._fields) + "\n"
_BREAKS = ("\t", "\n", "\r")


class SplitWriter:
    """Writes pairs to a new file; a context manager. The caller renames the file when it is whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] = path.open("x", encoding="utf-8", newline="\n")
        self._file.write(_HEADER)
        self.pairs = 0

    def write(self, pair: Pair) -> None:
        """Append a pair. Raises `FormatError` for a text with a TAB or a line break, which is not normalised."""
        if any(character in field for field in pair for character in _BREAKS):
            raise FormatError(f"{self._path}: pair {self.pairs + 1} holds a TAB or a line break: {pair.source!r}")
        self._file.write("\t".join(pair) + "\n")
        self.pairs += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()


def read_split(path: Path) -> Iterator[Pair]:
    """Yield the pairs of a split in their order.

    Raises:
        FormatError: the file is missing, or a line is not one of ours; file and line are named.
    """
    try:
        file = path.open(encoding="utf-8", newline="\n")
    except FileNotFoundError as error:
        raise FormatError(f"{path}: is not there: run the stage prepare_corpus (`dvc repro`) first") from error
    with file:
        number = 0
        try:
            for number, line in enumerate(file, 1):
                if number == 1:
                    if line != _HEADER:
                        raise FormatError(f"{path}: line 1: must be the header {_HEADER.strip()!r}, TAB-separated")
                    continue
                fields = line.removesuffix("\n").split("\t")
                if len(fields) != len(Pair._fields):
                    raise FormatError(f"{path}: line {number}: has {len(fields)} columns, not {len(Pair._fields)}")
                yield Pair(*fields)
        except UnicodeDecodeError as error:
            raise FormatError(f"{path}: after line {number}: not UTF-8: {error.reason}") from error
    if number == 0:
        raise FormatError(f"{path}: is empty, without even the header; run the stage prepare_corpus again")
