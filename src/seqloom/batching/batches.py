"""The order of batches and the batches themselves. Knows a token store: no text, no model and no device.

Pairs are sorted by length and cut where a batch's padded tokens would pass the budget, so that a batch holds segments
of almost one length. The cuts depend on the lengths alone and stay the same over all epochs (but where a temperature
makes each epoch read other pairs); which of the pairs of one length fall into which batch, and the order of the
batches, are drawn anew for each epoch from (seed, epoch). A checkpoint therefore needs an epoch and a position and
nothing else.
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
Vary = Callable[[int, list[Pair]], list[Pair]]
"""Of a seed below 2 ** 31 and pairs of ids: the same pairs split in another way, which depends on nothing else.

Batches ask for one pair at a time, from whichever thread builds them.
"""

GROWTH = 1.5  # a segment that a `Vary` made longer than this many times its stored length is read as it is stored
_MEASURED = 1 << 18  # pairs measured at once


class Batch(NamedTuple):
    """B pairs, padded with PAD on the right. All tensors are int64."""

    source: Tensor  # (B, S)
    source_lengths: Tensor  # (B,)
    target_in: Tensor  # (B, T) BOS, then the ids
    target_out: Tensor  # (B, T) the ids, then EOS
    target_lengths: Tensor  # (B,) BOS or EOS included

    @property
    def tokens(self) -> int:
        """Target tokens that are no padding, EOS included."""
        return int(self.target_lengths.sum())

    def pinned(self) -> "Batch":
        """The batch in page-locked memory, from which a CUDA device copies while the host goes on."""
        return Batch(*(tensor.pin_memory() for tensor in self))


class Share(NamedTuple):
    """Which part of every batch a process reads: pairs `rank`, `rank` + `ranks`, ... of those sorted by length."""

    rank: int
    ranks: int


WHOLE = Share(0, 1)


class PairLengths:
    """How long the pairs of a store are, in as few bytes as hold it, which NumPy also sorts in linear time."""

    def __init__(self, store: TokenStore) -> None:
        parts = []
        for start in range(0, len(store), _MEASURED):
            offsets = (side.offsets[start : start + _MEASURED + 1].astype(np.int64) for side in store.columns)
            source, target = map(np.diff, offsets)
            widths, lead = np.maximum(source, target + 1), source - target
            parts.append((_small(widths), _small(np.where(widths % 2 == 0, lead, -lead))))
        # (pairs,) columns of the longer side, BOS or EOS included; and what pairs of one width are sorted by.
        self.widths, self._tiebreak = map(np.concatenate, zip(*parts, strict=True))

    def sort(self, rows: Rows) -> Rows:
        """Return pairs (n,) by length; those of equal lengths stay in the order that they have.

        By width, which fills batches to their budget; within one width by how much longer the source is than the
        target, up and down in turn, so that neither side jumps where the width grows by one.
        """
        return rows[np.lexsort((self._tiebreak[rows], self.widths[rows]))]


def cut_batches(widths: NDArray[Any], tokens_per_batch: int) -> Rows:
    """Return (batches + 1,) where to cut pairs of rising `widths`: each batch as long as the budget allows."""
    cuts = [0]
    while cuts[-1] < len(widths):
        start = cuts[-1]
        most = max(1, tokens_per_batch // int(widths[start]))  # no batch can hold more pairs than this
        padded = widths[start : start + most].astype(np.int64)
        padded *= np.arange(1, len(padded) + 1)
        cuts.append(start + max(1, int(np.searchsorted(padded, tokens_per_batch, side="right"))))
    return np.array(cuts, np.int64)


def _small(values: NDArray[np.int64]) -> NDArray[Any]:
    return values.astype(np.min_scalar_type(-1 - int(np.abs(values).max())))


class Epoch:
    """The batches of one epoch, each made when it is asked for."""

    def __init__(self, rows: Rows, cuts: Rows, order: Rows, make: Callable[[int, Rows], Batch]) -> None:
        self._rows, self._cuts, self._order = rows, cuts, order
        self._make = make  # of a position and the pairs that stand there

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, position: int) -> Batch:
        return self._make(position % len(self), self.pairs(position))

    def __iter__(self) -> Iterator[Batch]:
        return map(self.__getitem__, range(len(self)))

    def pairs(self, position: int) -> Rows:
        """Return which pairs of the store, (B,), make the whole batch at `position`; negative ones count from the end.

        Raises:
            IndexError: there is no such position.
        """
        batch = self._order[position]
        return self._rows[self._cuts[batch] : self._cuts[batch + 1]]


class BatchOrder:
    """All pairs of a store, each exactly once an epoch, in shuffled batches of at most `tokens_per_batch`.

    A batch of B pairs obeys B x max(S, T) <= `tokens_per_batch`, T with BOS or EOS; a pair longer than that is a batch
    of its own. `seed` is not negative.

    With a `temperature` above 1 and several directions an epoch has as many pairs, but small directions come more often
    than large ones (see `TemperatureSampler`). `vary` splits each pair in another way, seeded by (seed, epoch,
    position, place in the batch); no segment becomes more than `GROWTH` times as long (rounded up), so that a batch
    takes hardly more than `GROWTH` times the budget.

    Of several processes each reads its `share` of the same batches, as many pairs (or one fewer) of the same lengths;
    the shares together are the batch that one process would read. Where a batch has fewer pairs than there are
    processes, some of them get its first pair with `target_lengths` of 0, which counts for nothing.
    """

    def __init__(
        self,
        store: TokenStore,
        tokens_per_batch: int,
        seed: int,
        *,
        temperature: float = 1.0,
        vary: Vary | None = None,
        share: Share = WHOLE,
    ) -> None:
        assert 0 <= share.rank < share.ranks
        self.symbols = store.symbols
        self._store = store
        self._tokens_per_batch = tokens_per_batch
        self._seed = seed
        self._vary = vary
        self._share = share
        self._sampler = None
        if temperature > 1 and store.direction_numbers is not None:
            self._sampler = TemperatureSampler(store.direction_numbers, temperature, seed)
        self._lengths = PairLengths(store)
        self._cuts = cut_batches(np.sort(self._lengths.widths, kind="stable"), tokens_per_batch)
        self.batches = len(self._cuts) - 1  # of an epoch; with a temperature about as many
        self._last: tuple[int, Epoch] | None = None

    def epoch(self, number: int) -> Epoch:
        """Return the batches of epoch `number` (from 0), the same ones whenever and wherever it is asked for."""
        last = self._last  # read once and replaced whole: threads may ask for different epochs at a time
        if last is None or last[0] != number:
            random = np.random.Generator(np.random.PCG64([self._seed, number]))
            rows = _all(self._store) if self._sampler is None else self._sampler.rows(number)
            random.shuffle(rows)
            rows = self._lengths.sort(rows)
            cuts = self._cuts
            if self._sampler is not None:
                cuts = cut_batches(self._lengths.widths[rows], self._tokens_per_batch)
            order = random.permutation(len(cuts) - 1)
            self._last = last = number, Epoch(rows, cuts, order, partial(self._made, number))
        return last[1]

    def _made(self, epoch: int, position: int, rows: Rows) -> Batch:
        """This process's share of the batch of some pairs."""
        rank, ranks = self._share
        numbers = np.arange(len(rows))[rank::ranks]
        if not len(numbers):
            batch = self._batch(epoch, position, rows, np.arange(1))
            return batch._replace(target_lengths=torch.zeros_like(batch.target_lengths))
        return self._batch(epoch, position, rows, numbers)

    def _batch(self, epoch: int, position: int, rows: Rows, numbers: Rows) -> Batch:
        """Those of the pairs at a position that stand at `numbers`, split in the way that belongs to each place."""
        if self._vary is None:
            return make_batch(self._store, rows[numbers])
        # A seed for each pair: what it becomes does not depend on which others a process reads.
        seeds = np.random.SeedSequence([self._seed, epoch, position]).generate_state(len(rows)) >> 1
        stored = [(self._store.source(row).tolist(), self._store.target(row).tolist()) for row in rows[numbers]]
        varied = [self._vary(seed, [pair])[0] for seed, pair in zip(seeds[numbers].tolist(), stored, strict=True)]
        sides = zip(zip(*stored, strict=True), zip(*varied, strict=True), strict=True)
        source, target = (_flat(list(map(_bounded, old, new))) for old, new in sides)
        return _framed(source, target, self.symbols)


def in_order(store: TokenStore, tokens_per_batch: int) -> Epoch:
    """Return batches of all pairs with nothing random in them, the shortest first: for validation."""
    lengths = PairLengths(store)
    rows = lengths.sort(_all(store))
    cuts = cut_batches(lengths.widths[rows], tokens_per_batch)
    return Epoch(rows, cuts, np.arange(len(cuts) - 1), lambda _, pairs: make_batch(store, pairs))


def make_batch(store: TokenStore, pairs: Rows) -> Batch:
    """Return the batch of these pairs (B,), in this order."""
    source, target = (_stored(side, pairs) for side in store.columns)
    return _framed(source, target, store.symbols)


class _Segments(NamedTuple):
    """B segments somewhere among `ids`."""

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
    """Segments as rows (B, around + longest + around), PAD where there is no id; one gather, no loop over rows."""
    longest = int(segments.lengths.max())
    columns = np.arange(longest)
    real = columns < segments.lengths[:, None]
    where = segments.starts[:, None] + columns
    padded = np.full((len(real), longest + 2 * around), pad, np.int64)
    padded[:, around : around + longest][real] = segments.ids[where[real]]
    return padded


def _all(store: TokenStore) -> Rows:
    return np.arange(len(store), dtype=np.min_scalar_type(len(store)))
