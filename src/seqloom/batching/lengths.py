"""Pairs by length, and where to cut them into batches. Knows how long both sides of a pair are: no ids, no chance."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqloom.batching.store import TokenStore
from seqloom.batching.temperature import Rows

_MEASURED = 1 << 18  # pairs measured at once


class Lengths:
    """How long the pairs of a store are, in as few bytes as hold it, which NumPy also sorts in linear time."""

    def __init__(self, store: TokenStore) -> None:
        parts = []
        for start in range(0, len(store), _MEASURED):
            offsets = (side.offsets[start : start + _MEASURED + 1].astype(np.int64) for side in store.sides)
            source, target = map(np.diff, offsets)
            widths, lead = np.maximum(source, target + 1), source - target
            parts.append((_small(widths), _small(np.where(widths % 2 == 0, lead, -lead))))
        # (pairs,) columns of the longer side, BOS or EOS included; and what pairs of one width are sorted by.
        self.widths, self._turns = map(np.concatenate, zip(*parts, strict=True))

    def sort(self, rows: Rows) -> Rows:
        """Return pairs (n,) by length; those of equal lengths stay in the order that they have.

        By width, which fills batches to their budget; within one width by how much longer the source is than the
        target, up and down in turn, so that neither side jumps where the width grows by one.
        """
        return rows[np.lexsort((self._turns[rows], self.widths[rows]))]


def cut(widths: NDArray[Any], tokens_per_batch: int) -> Rows:
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
