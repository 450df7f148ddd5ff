"""The three split files that prepare_corpus writes and all later stages read.

UTF-8 with LF line ends, a header line, and five TAB-separated columns. Texts are normalised, so they contain no TAB or
line break.
"""

from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple, Self

from seqloom.errors import FormatError


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


_HEADER = "\t".join(Pair._fields) + "\n"
_BREAKS = ("\t", "\n", "\r")


class SplitWriter:
    """Context manager that writes pairs to a new file. The caller renames the file when it is complete."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] = path.open("x", encoding="utf-8", newline="\n")
        self._file.write(_HEADER)
        self.pairs = 0

    def write(self, pair: Pair) -> None:
        """Append a pair. Raises `FormatError` if a text contains a TAB or line break, that is, is not normalised."""
        if any(character in field for field in pair for character in _BREAKS):
            raise FormatError(f"{self._path}: pair {self.pairs + 1} contains a TAB or line break: {pair.source!r}")
        self._file.write("\t".join(pair) + "\n")
        self.pairs += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()


def read_split(path: Path) -> Iterator[Pair]:
    """Yield the pairs of a split in order.

    Raises:
        FormatError: the file is missing or malformed; the error names file and line.
    """
    try:
        file = path.open(encoding="utf-8", newline="\n")
    except FileNotFoundError as error:
        raise FormatError(f"{path} does not exist: run the stage prepare_corpus first (`dvc repro`)") from error
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
                    raise FormatError(f"{path}: line {number}: found {len(fields)} columns, need {len(Pair._fields)}")
                yield Pair(*fields)
        except UnicodeDecodeError as error:
            raise FormatError(f"{path}: after line {number}: not UTF-8: {error.reason}") from error
    if number == 0:
        raise FormatError(f"{path} is empty and lacks even the header: run the stage prepare_corpus again")
