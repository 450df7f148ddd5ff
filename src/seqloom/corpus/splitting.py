"""Which split a pair is in, and which pairs of valid and test have to go because training holds their text.

Two promises, whatever the corpus:

- **A pair never changes sides.** Its split is a function of its group (or, without one, of its masked source text)
  and of the salt; not of its position, nor of any other pair. As the corpus grows, what was in training can never be
  found in test, nor the other way round. A pair of valid or test can only vanish, when a group of training brings
  the same text.
- **The same text never stands on two sides**, digits and placeholders masked: valid gives way to training, test to
  both. With `apart: both` that holds for the texts of the target side too.

The second needs to know all texts of training before the first pair of test is written. So an `Index` is filled first
and asked afterwards; it holds two 64-bit keys and a split of each pair, 17 bytes, and no text.
"""

from array import array
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seqloom.corpus.keys import fraction_of, mask
from seqloom.corpus.settings import SplitSettings
from seqloom.corpus.splits import Split

# Why a pair is dropped here, as the metrics count it; its fate is the position in this list, or KEPT.
REASONS = ("source_in_earlier_split", "target_in_earlier_split", "duplicate")
KEPT = -1
_SOURCE, _TARGET, _DUPLICATE = range(len(REASONS))


def split_of(source: str, group: str, settings: SplitSettings) -> Split:
    """Return the split of a pair; `source` is the cleaned text, `group` may be empty."""
    # The name of the corpus is no part of the hash: two releases of one catalogue fall on one side.
    kept_together = group if group and settings.by == "group" else mask(source)
    fraction = fraction_of(kept_together, settings.salt)
    if fraction < settings.test:
        return Split.test
    return Split.valid if fraction < settings.test + settings.valid else Split.train


class Index:
    """The splits and keys of all pairs, in their order."""

    def __init__(self) -> None:
        self._splits, self._sources, self._targets = array("b"), array("Q"), array("Q")

    def add(self, split: Split, source: int, target: int) -> None:
        """Append a pair by the keys of its texts (`keys.key_of`)."""
        self._splits.append(split)
        self._sources.append(source)
        self._targets.append(target)

    def split(self, position: int) -> Split:
        """Return the split of a pair."""
        return Split(self._splits[position])

    def fates(self, apart: Literal["source", "both"], duplicates: Literal["pair", "source", "no"]) -> NDArray[np.int8]:
        """Return for each pair the position in `REASONS` of why it is dropped, or `KEPT`.

        Args:
            apart: the sides whose texts may not stand in two splits.
            duplicates: which pairs are the same: those with equal keys of both sides, of the source, or none. The first
                of them that is not dropped for another reason is kept.
        """
        splits = np.frombuffer(self._splits, np.int8)
        sources, targets = np.frombuffer(self._sources, np.uint64), np.frombuffer(self._targets, np.uint64)
        fates = np.full(len(splits), KEPT, np.int8)
        for reason, keys in ((_SOURCE, sources), (_TARGET, targets))[: 2 if apart == "both" else 1]:
            for split in (Split.valid, Split.test):
                here = np.flatnonzero((splits == split) & (fates == KEPT))
                fates[here[np.isin(keys[here], keys[splits < split])]] = reason
        if duplicates != "no":
            # A product with an odd number loses nothing, so that equal keys mean equal pairs, as surely as keys can.
            keys = sources if duplicates == "source" else sources ^ (targets * np.uint64(0x9E3779B97F4A7C15))
            kept = np.flatnonzero(fates == KEPT)
            _, first = np.unique(keys[kept], return_index=True)
            fates[np.delete(kept, first)] = _DUPLICATE
        return fates
