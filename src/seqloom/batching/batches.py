"""The batches of a token store, and their order in each epoch.

Pairs are sorted by length and cut into batches where the padded tokens would exceed the budget, so that the segments of
a batch have almost the same length. The cuts depend only on the lengths, so they are the same in every epoch, unless a
temperature selects other pairs for each epoch. Which pairs of equal length share a batch, and the order of the batches,
are drawn for each epoch from (seed, epoch). A checkpoint therefore only needs to store an epoch and a position.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqloom.batching.store import TokenColumn, TokenStore
from seqloom.batching.temperature import Rows, TemperatureSampler
from seqloom.symbols import Symbols

Pair = tuple[Sequence[int], Sequence[int]]
Resample = Callable[[int, list[Pair]], list[Pair]]
"""Takes a seed below 2 ** 31 and pairs of ids; returns the same texts split into other subwords.

The result must depend only on the arguments. It is called with one pair at a time, from the thread that builds the
batch.
"""

GROWTH = 1.5  # a segment that `Resample` makes longer than this many times its stored length is used as stored
_MEASURED = 1 << 18  # pairs per block, to bound memory


class Batch(NamedTuple):
    """B pairs of segments, padded with PAD on the right. All tensors are int64."""

    source: Tensor  # (B, S)
    source_lengths: Tensor  # (B,)
    target_in: Tensor  # (B, T): BOS, then the ids
    target_out: Tensor  # (B, T): the ids, then EOS
    target_lengths: Tensor  # (B,), including BOS or EOS

    @property
    def tokens(self) -> int:
        """Number of target tokens, including EOS but not padding."""
        return int(self.target_lengths.sum())

    def pinned(self) -> "Batch":
        """Return a copy of the batch in page-locked memory, from which a CUDA device can copy asynchronously."""
        return Batch(*(tensor.pin_memory() for tensor in self))


class ProcessShare(NamedTuple):
    """The part of every batch that process `rank` of `ranks` reads.

    A batch consists of `shares` shares; share i has the pairs i, i + `shares`, ... A process reads the shares `rank`,
    `rank` + `ranks`, ... in `turns` turns. In its last turn it may have no share left; then it gets an empty one, so
    that all processes have the same number of turns.
    """

    rank: int
    ranks: int
    shares: int

    @property
    def turns(self) -> int:
        """The number of shares that this process reads of each batch, empty ones included."""
        return -(-self.shares // self.ranks)

    @property
    def own(self) -> range:
        """The shares that this process reads, without empty ones."""
        return range(self.rank, self.shares, self.ranks)


WHOLE = ProcessShare(0, 1, 1)


class PairLengths:
    """The lengths of all pairs of a store, in the smallest integer type that fits; NumPy sorts those in linear time."""

    def __init__(self, store: TokenStore) -> None:
        parts = []
        for start in range(0, len(store), _MEASURED):
            offsets = (side.offsets[start : start + _MEASURED + 1].astype(np.int64) for side in store.columns)
            source, target = map(np.diff, offsets)
            widths, lead = np.maximum(source, target + 1), source - target
            parts.append((_small(widths), _small(np.where(widths % 2 == 0, lead, -lead))))
        # Both (pairs,): the length of the longer side, including BOS or EOS, and the sort key among equal widths.
        self.widths, self._tiebreak = map(np.concatenate, zip(*parts, strict=True))

    def sort(self, rows: Rows) -> Rows:
        """Return `rows` (n,) sorted by length; pairs of equal lengths keep their order.

        The first key is the width, so that batches fill their budget. Within a width, pairs are sorted by how much
        longer the source is than the target, ascending for even widths and descending for odd ones, so that neither
        length jumps where the width grows by one.
        """
        return rows[np.lexsort((self._tiebreak[rows], self.widths[rows]))]


def cut_batches(widths: NDArray[Any], tokens_per_batch: int) -> Rows:
    """Return the cut points (batches + 1,) of pairs with ascending `widths`: each batch is as large as allowed."""
    cuts = [0]
    while cuts[-1] < len(widths):
        start = cuts[-1]
        most = tokens_per_batch // int(widths[start])  # upper bound: no later pair is narrower
        padded = widths[start : start + most].astype(np.int64)
        padded *= np.arange(1, len(padded) + 1)
        cuts.append(start + max(1, int(np.searchsorted(padded, tokens_per_batch, side="right"))))
    return np.array(cuts, np.int64)


def _small(values: NDArray[np.int64]) -> NDArray[Any]:
    return values.astype(np.min_scalar_type(-1 - int(np.abs(values).max())))


class Epoch:
    """The batches of one epoch, a sequence that builds each batch on access."""

    def __init__(self, rows: Rows, cuts: Rows, order: Rows, make: Callable[[int, Rows], Batch]) -> None:
        self._rows, self._cuts, self._order = rows, cuts, order
        self._make = make  # takes a position and its pairs

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, position: int) -> Batch:
        return self._make(position % len(self), self.pairs(position))

    def __iter__(self) -> Iterator[Batch]:
        return map(self.__getitem__, range(len(self)))

    def pairs(self, position: int) -> Rows:
        """Return the indices (B,) of the pairs in the whole batch at `position`; a negative one counts from the end.

        Raises:
            IndexError: `position` is out of range.
        """
        batch = self._order[position]
        return self._rows[self._cuts[batch] : self._cuts[batch + 1]]


class BatchOrder:
    """The shuffled batches of every epoch; each pair of the store occurs exactly once per epoch.

    A batch of B pairs satisfies B x max(S, T) <= `tokens_per_batch`, where T includes BOS or EOS. A pair longer than
    that is a batch of its own. `seed` must not be negative.

    With a `temperature` above 1 and several directions, an epoch has the same number of pairs, but pairs of small
    directions are repeated and those of large ones subsampled (see `TemperatureSampler`). `resample` splits each pair
    anew, seeded by (seed, epoch, position, index in the batch). No segment grows beyond `GROWTH` times its length
    (rounded up), which bounds the memory of a batch.

    With several processes, each reads its `share` of the same batches: the numbers of pairs of two shares differ by at
    most one, and the lengths are alike. Together, the shares are the batch that a single process would read, whatever
    the number of processes. A process with several turns gets one share after the other, so its epochs have
    `share.turns` times as many positions. An empty share is the first pair of the batch with `target_lengths` of 0,
    which adds nothing to the loss; so is a share of a batch with fewer pairs than shares.
    """

    def __init__(
        self,
        store: TokenStore,
        tokens_per_batch: int,
        seed: int,
        *,
        temperature: float = 1.0,
        resample: Resample | None = None,
        share: ProcessShare = WHOLE,
    ) -> None:
        assert 0 <= share.rank < share.ranks <= share.shares
        self.symbols = store.symbols
        self._store = store
        self._tokens_per_batch = tokens_per_batch
        self._seed = seed
        self._resample = resample
        self.share = share
        self._sampler = None
        if temperature > 1 and store.direction_numbers is not None:
            self._sampler = TemperatureSampler(store.direction_numbers, temperature, seed)
        self._lengths = PairLengths(store)
        self._cuts = cut_batches(np.sort(self._lengths.widths, kind="stable"), tokens_per_batch)
        self.batches = len(self._cuts) - 1  # per epoch; approximate with a temperature
        self._last: tuple[int, Epoch] | None = None

    def epoch(self, number: int) -> Epoch:
        """Return the batches of epoch `number`, counted from 0. They depend only on the arguments of the order."""
        last = self._last  # read once and replaced as a whole, because threads may request different epochs
        if last is None or last[0] != number:
            random = np.random.Generator(np.random.PCG64([self._seed, number]))
            rows = _all(self._store) if self._sampler is None else self._sampler.rows(number)
            random.shuffle(rows)
            rows = self._lengths.sort(rows)
            cuts = self._cuts
            if self._sampler is not None:
                cuts = cut_batches(self._lengths.widths[rows], self._tokens_per_batch)
            order = random.permutation(len(cuts) - 1).repeat(self.share.turns)
            self._last = last = number, Epoch(rows, cuts, order, partial(self._made, number))
        return last[1]

    def _made(self, epoch: int, position: int, rows: Rows) -> Batch:
        """Return a share of the batch that consists of `rows`; `position` counts the turns."""
        position, turn = divmod(position, self.share.turns)
        share = self.share.rank + turn * self.share.ranks
        numbers = np.arange(len(rows))[share :: self.share.shares] if share < self.share.shares else np.arange(0)
        if not len(numbers):
            batch = self._batch(epoch, position, rows, np.arange(1))
            return batch._replace(target_lengths=torch.zeros_like(batch.target_lengths))
        return self._batch(epoch, position, rows, numbers)

    def _batch(self, epoch: int, position: int, rows: Rows, numbers: Rows) -> Batch:
        """Return the batch of `rows[numbers]`, each pair split anew if there is a `resample`."""
        if self._resample is None:
            return make_batch(self._store, rows[numbers])
        # One seed per pair of the whole batch, so that a pair's split does not depend on the process that reads it.
        seeds = np.random.SeedSequence([self._seed, epoch, position]).generate_state(len(rows)) >> 1
        stored = [(self._store.source(row).tolist(), self._store.target(row).tolist()) for row in rows[numbers]]
        varied = [self._resample(seed, [pair])[0] for seed, pair in zip(seeds[numbers].tolist(), stored, strict=True)]
        sides = zip(zip(*stored, strict=True), zip(*varied, strict=True), strict=True)
        source, target = (_flat(list(map(_bounded, old, new))) for old, new in sides)
        return _framed(source, target, self.symbols)


def in_order(store: TokenStore, tokens_per_batch: int) -> Epoch:
    """Return batches of all pairs in a fixed order, shortest first, for validation."""
    lengths = PairLengths(store)
    rows = lengths.sort(_all(store))
    cuts = cut_batches(lengths.widths[rows], tokens_per_batch)
    return Epoch(rows, cuts, np.arange(len(cuts) - 1), lambda _, pairs: make_batch(store, pairs))


def make_batch(store: TokenStore, pairs: Rows) -> Batch:
    """Return the batch of the given pairs (B,), in the given order."""
    source, target = (_stored(side, pairs) for side in store.columns)
    return _framed(source, target, store.symbols)


class _Segments(NamedTuple):
    """B segments, each a slice of `ids`."""

    ids: NDArray[Any]
    starts: Rows  # (B,)
    lengths: Rows  # (B,)


def _stored(side: TokenColumn, pairs: Rows) -> _Segments:
    starts, ends = (offsets[pairs].astype(np.int64) for offsets in (side.offsets, side.offsets[1:]))
    return _Segments(side.ids, starts, ends - starts)


def _flat(segments: Sequence[Sequence[int]]) -> _Segments:
    lengths = np.fromiter(map(len, segments), np.int64, len(segments))
    ids = np.fromiter(chain.from_iterable(segments), np.int64, int(lengths.sum()))
    return _Segments(ids, lengths.cumsum() - lengths, lengths)


def _bounded(stored: Sequence[int], varied: Sequence[int]) -> Sequence[int]:
    return varied if 0 < len(varied) <= math.ceil(GROWTH * len(stored)) else stored


def _framed(source: _Segments, target: _Segments, symbols: Symbols) -> Batch:
    framed = _padded(target, symbols.pad, around=1)
    framed[:, 0] = symbols.bos
    ids_in, ids_out = framed[:, :-1].copy(), framed[:, 1:].copy()
    ids_out[np.arange(len(ids_out)), target.lengths] = symbols.eos
    return Batch(
        torch.from_numpy(_padded(source, symbols.pad)),
        torch.from_numpy(source.lengths),
        torch.from_numpy(ids_in),
        torch.from_numpy(ids_out),
        torch.from_numpy(target.lengths + 1),
    )


def _padded(segments: _Segments, pad: int, around: int = 0) -> NDArray[np.int64]:
    """Return the segments as rows (B, around + longest + around), filled with PAD; one gather instead of a loop."""
    longest = int(segments.lengths.max())
    columns = np.arange(longest)
    real = columns < segments.lengths[:, None]
    where = segments.starts[:, None] + columns
    padded = np.full((len(real), longest + 2 * around), pad, np.int64)
    padded[:, around : around + longest][real] = segments.ids[where[real]]
    return padded


def _all(store: TokenStore) -> Rows:
    return np.arange(len(store), dtype=np.min_scalar_type(len(store)))
