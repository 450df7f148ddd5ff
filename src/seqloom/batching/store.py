"""Pairs of token ids on disk, memory-mapped.

A store is a folder. For each side, `<side>.ids.bin` holds the ids of all segments one after another (uint16 if the
vocabulary fits, else int32), and `<side>.offsets.bin` the start of each segment (uint64, one more than pairs). If there
are several directions, `directions.bin` holds the index of each pair's direction (uint16). `meta.json` holds the names
of the directions and the sizes of all files. Numbers are little-endian. An open store needs no memory beyond the
operating system's page cache; opening reads every offset once.

The store of a large corpus has compressed shards in place of these files, which are unpacked first: see `shards`.
"""

import json
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from seqloom.batching.shards import DIRECTIONS, FORMAT, META, SIDES, Vocabularies, unpacked
from seqloom.errors import CorpusError, FormatError
from seqloom.symbols import SPECIAL_IDS, Symbols

_FLUSH = 1 << 14  # pairs that a writer buffers
_COUNTED = 1 << 20  # ids or offsets per block, to bound memory


class TokenColumn(NamedTuple):
    """The segments of one side. Segment i is `ids[offsets[i] : offsets[i + 1]]`, without BOS and EOS."""

    ids: NDArray[Any]  # (tokens,) uint16 or int32, memory-mapped
    offsets: NDArray[np.uint64]  # (pairs + 1,), memory-mapped
    vocab_size: int

    @property
    def lengths(self) -> NDArray[np.int32]:
        """The number of tokens of each segment, (pairs,), at least 1; computed at each access."""
        return np.diff(self.offsets.view("<i8")).astype(np.int32)

    def segment(self, index: int) -> NDArray[Any]:
        """Return the ids of a segment, as a view of the file."""
        return self.ids[int(self.offsets[index]) : int(self.offsets[index + 1])]

    def counts(self) -> NDArray[np.int64]:
        """Return how often each id occurs, (vocab_size,)."""
        counts = np.zeros(self.vocab_size, np.int64)
        for start in range(0, len(self.ids), _COUNTED):  # bincount copies its input to 8 bytes per id
            counts += np.bincount(self.ids[start : start + _COUNTED], minlength=self.vocab_size)
        return counts


class TokenStore:
    """Random access to pairs of token ids that a `TokenWriter` wrote."""

    def __init__(
        self,
        folder: Path,
        source: TokenColumn,
        target: TokenColumn,
        symbols: Symbols,
        directions: Sequence[str],
        numbers: NDArray[np.uint16] | None,
    ) -> None:
        self.folder = folder
        self.columns = source, target
        self.symbols = symbols
        self.directions = tuple(directions)
        self.direction_numbers = numbers  # (pairs,), indices into `directions`; None if there is only one

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the store in `folder`; shards are unpacked first, once on each machine.

        Raises:
            CorpusError: the store is missing, has another format, or its files do not match meta.json.
            ShardError: a shard is missing or damaged.
        """
        meta = _read_meta(folder)
        files = unpacked(folder)
        try:
            pairs, kind = int(meta["pairs"]), np.dtype(str(meta["dtype"]))
            sides = [_open_column(files, side, pairs, kind, meta[side]) for side in SIDES]
            directions = [str(name) for name in meta["directions"]]
            numbers = _map(files / DIRECTIONS, np.dtype("<u2"), pairs) if len(directions) > 1 else None
            return cls(folder, sides[0], sides[1], Symbols(**meta["symbols"]), directions, numbers)
        except (KeyError, TypeError, ValueError) as error:
            raise CorpusError(f"{folder / META}: does not describe a token store ({error!r}); {_REMEDY}") from error

    def __len__(self) -> int:
        return len(self.columns[0].offsets) - 1

    def source(self, index: int) -> NDArray[Any]:
        """Return the ids of a source segment, without BOS and EOS."""
        return self.columns[0].segment(index)

    def target(self, index: int) -> NDArray[Any]:
        """Return the ids of a target segment, without BOS and EOS."""
        return self.columns[1].segment(index)

    @property
    def source_lengths(self) -> NDArray[np.int32]:
        """The number of tokens of each source segment, (pairs,)."""
        return self.columns[0].lengths

    @property
    def target_lengths(self) -> NDArray[np.int32]:
        """The number of tokens of each target segment, (pairs,), without BOS and EOS."""
        return self.columns[1].lengths

    @property
    def source_vocab_size(self) -> int:
        """Size of the source vocabulary; every source id is smaller."""
        return self.columns[0].vocab_size

    @property
    def target_vocab_size(self) -> int:
        """Size of the target vocabulary; every target id is smaller."""
        return self.columns[1].vocab_size


class TokenWriter:
    """Writes a store in a stream. A context manager: on exit `folder` is replaced atomically, or left as it was."""

    def __init__(
        self,
        folder: Path,
        source_vocab_size: int,
        target_vocab_size: int,
        symbols: Symbols = SPECIAL_IDS,
        directions: Sequence[str] = ("",),
    ) -> None:
        assert 1 <= len(directions) <= 1 << 16
        self._vocabularies = Vocabularies(source_vocab_size, target_vocab_size, symbols, list(directions))
        self._numbers: list[int] = []  # directions of the buffered pairs
        self.symbols = symbols
        self.folder = folder
        self.pairs = 0
        self._beside = folder.with_name(folder.name + ".part")
        self._vocab_sizes = source_vocab_size, target_vocab_size
        self._kind = self._vocabularies.kind
        self._tokens = [0, 0]
        self._held: tuple[list[Sequence[int]], list[Sequence[int]]] = [], []

    def __enter__(self) -> Self:
        shutil.rmtree(self._beside, ignore_errors=True)
        self._beside.mkdir(parents=True)
        self._files = ExitStack()
        self._ids, self._offsets = (
            [self._files.enter_context((self._beside / f"{side}.{kind}.bin").open("wb")) for side in SIDES]
            for kind in ("ids", "offsets")
        )
        for file in self._offsets:
            file.write(bytes(8))  # the first segment starts at 0
        if len(self._vocabularies.directions) > 1:
            self._direction_file = self._files.enter_context((self._beside / DIRECTIONS).open("wb"))
        return self

    def add(self, source: Sequence[int], target: Sequence[int], direction: int = 0) -> None:
        """Append a pair of ids, without BOS and EOS; `direction` is an index into `directions`.

        Raises:
            FormatError: a side is empty, or an id is outside its vocabulary. Ids are checked in blocks of 16,384 pairs,
                so the latter may be raised by a later call or on exit.
        """
        if not len(source) or not len(target):
            side = SIDES[len(source) > 0]
            raise FormatError(
                f"{self.folder}: pair {self.pairs}: the {side} is empty; each side needs at least one token"
            )
        assert 0 <= direction < len(self._vocabularies.directions)
        for held, ids in zip(self._held, (source, target), strict=True):
            held.append(ids)
        self._numbers.append(direction)
        self.pairs += 1
        if len(self._held[0]) == _FLUSH:
            self._flush()

    def __exit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        try:
            with self._files:  # close the files in any case
                if kind is None:
                    self._flush()
            if kind is None:
                self._put_in_place()
        finally:
            shutil.rmtree(self._beside, ignore_errors=True)

    def _put_in_place(self) -> None:
        if not self.pairs:
            raise CorpusError(f"{self.folder}: no pair was written; a token store needs at least one")
        meta = self._vocabularies.meta(self.pairs, self._tokens)
        (self._beside / META).write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
        shutil.rmtree(self.folder, ignore_errors=True)
        self._beside.rename(self.folder)

    def _flush(self) -> None:
        first = self.pairs - len(self._held[0])
        for side, held in enumerate(self._held):
            lengths = np.fromiter(map(len, held), np.int64, len(held))
            ids = np.fromiter(chain.from_iterable(held), np.int64, int(lengths.sum()))
            ends = lengths.cumsum()
            outside = np.flatnonzero((ids < 0) | (ids >= self._vocab_sizes[side]))
            if len(outside):
                pair = first + int(np.searchsorted(ends, outside[0], side="right"))
                raise FormatError(
                    f"{self.folder}: pair {pair}: {SIDES[side]} id {ids[outside[0]]} is outside the vocabulary "
                    f"of {self._vocab_sizes[side]}"
                )
            # Not ndarray.tofile: its error does not mention a full disk.
            self._ids[side].write(ids.astype(self._kind).data)
            self._offsets[side].write((ends + self._tokens[side]).astype("<u8").data)
            self._tokens[side] += len(ids)
            held.clear()
        if len(self._vocabularies.directions) > 1:
            self._direction_file.write(np.array(self._numbers, "<u2").data)
        self._numbers.clear()


_REMEDY = "run train_tokenizer again"


def pair_error(folder: Path, number: int, what: str) -> CorpusError:
    """Return an error for pair `number`, with the line of the corpus file that it comes from."""
    return CorpusError(
        f"{folder}: pair {number} (counted from 0; line {number + 2} of {folder.name}.tsv, or later if pairs before it "
        f"were too long): {what}; {_REMEDY}"
    )


def _read_meta(folder: Path) -> dict[str, Any]:
    path = folder / META
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CorpusError(f"{path}: cannot be read ({error}); {_REMEDY}") from error
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise CorpusError(f"{path}: not a token store of format {FORMAT}; {_REMEDY}")
    return meta


def _open_column(folder: Path, side: str, pairs: int, kind: np.dtype[Any], meta: dict[str, Any]) -> TokenColumn:
    tokens = int(meta["tokens"])
    offsets = _map(folder / f"{side}.offsets.bin", np.dtype("<u8"), pairs + 1)
    ids = _map(folder / f"{side}.ids.bin", kind, tokens)
    if offsets[0] != 0 or offsets[-1] != tokens:
        raise _contradiction(folder, side)
    for start in range(0, pairs, _COUNTED):
        lengths = np.diff(offsets[start : start + _COUNTED + 1].view("<i8"))
        if lengths.min() < 0:
            raise _contradiction(folder, side)
        if not lengths.all():
            raise pair_error(folder, start + int(lengths.argmin()), f"the {side} is empty")
    return TokenColumn(ids, offsets, int(meta["vocab_size"]))


def _contradiction(folder: Path, side: str) -> CorpusError:
    return CorpusError(f"{folder / f'{side}.offsets.bin'}: the offsets do not match the ids; {_REMEDY}")


def _map(path: Path, kind: np.dtype[Any], count: int) -> NDArray[Any]:
    try:
        size = path.stat().st_size
        if size != count * kind.itemsize:
            raise CorpusError(f"{path}: has {size} bytes, but should have {count * kind.itemsize}; {_REMEDY}")
        return np.asarray(np.memmap(path, kind, mode="r"))  # a plain array: indexing the memmap subclass is slower
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error}); {_REMEDY}") from error
