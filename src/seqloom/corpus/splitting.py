"""Which split a pair is in, and which pairs have to go because another split holds their text.

Two promises, whatever the corpus:

- **A pair never changes sides.** Its split is a function of its group (or, without one, of its masked text in the
  pivot language) and of the salt; not of its position, nor of any other pair. As the corpus grows, what was in
  training can never be found in test, nor the other way round. A pair of valid or test can only vanish, when a group
  of training brings the same text.
- **The same text never stands on two sides**, digits and placeholders masked: valid gives way to training, test to
  both. With `apart: both` that holds for the texts of the target side too. It holds across directions: what is a target
  of one may be a source of another, so that a text of valid or test is looked for on either side of training.

Where data comes with splits of its own, its test is what others are measured on: it stays whole. Its valid gives way
to that test alone, and training to both.

The second promise needs to know all texts before the first pair of test is written. So an `Index` is filled first and
asked afterwards; of each pair it holds two 64-bit keys, a rank and a direction, 19 bytes, and no text.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seqloom.corpus.keys import fraction_of, mask
from seqloom.corpus.settings import SplitSettings
from seqloom.corpus.splits import Split
from seqloom.languages import Direction

# Why a pair is dropped here, as the metrics count it; its fate is the position in this list, or KEPT.
REASONS = ("source_in_earlier_split", "target_in_earlier_split", "duplicate", "text_of_given_split")
KEPT = -1
_SOURCE, _TARGET, _DUPLICATE, _GIVEN = range(len(REASONS))

# Who gives way to whom: the higher rank to the lower. A split that the data comes with goes before any other.
_GIVEN_TEST, _GIVEN_VALID, _TRAIN, _VALID, _TEST = range(5)
_SPLITS = np.array([Split.test, Split.valid, Split.train, Split.valid, Split.test], np.int8)
_RANKS = {Split.train: _TRAIN, Split.valid: _VALID, Split.test: _TEST}
_GIVEN_RANKS = {Split.train: _TRAIN, Split.valid: _GIVEN_VALID, Split.test: _GIVEN_TEST}


def split_of(text: str, group: str, settings: SplitSettings) -> Split:
    """Return the split of a pair; `text` is its cleaned text in the pivot language, `group` may be empty."""
    # The name of the corpus is no part of the hash: two releases of one catalogue fall on one side.
    kept_together = group if group and settings.by == "group" else mask(text)
    fraction = fraction_of(kept_together, settings.salt)
    if fraction < settings.test:
        return Split.test
    return Split.valid if fraction < settings.test + settings.valid else Split.train


def pivots(directions: Sequence[Direction]) -> dict[Direction, int]:
    """Return for each direction the side, 0 or 1, whose text decides the split: the one that more directions share.

    Of a corpus with one text in many languages, all pairs with the same English one then fall on the same side, and so
    do a pair and its reverse. Of one direction it is the source.
    """
    shared = Counter(chain.from_iterable(directions))
    ranking = [language for language, _ in shared.most_common()]  # among equals the first one named
    return {each: int(ranking.index(each.target) < ranking.index(each.source)) for each in directions}


class Index:
    """The ranks, directions and keys of all pairs, in their order."""

    def __init__(self) -> None:
        self._ranks, self._directions = array("b"), array("H")
        self._keys = array("Q"), array("Q")

    def add(self, split: Split, source: int, target: int, direction: int = 0, *, given: bool = False) -> None:
        """Append a pair by the keys of its texts (`keys.key_of`); `given` says that its data came with the split."""
        self._ranks.append((_GIVEN_RANKS if given else _RANKS)[split])
        self._directions.append(direction)
        for keys, key in zip(self._keys, (source, target), strict=True):
            keys.append(key)

    def split(self, position: int) -> Split:
        """Return the split of a pair."""
        return Split(_SPLITS[self._ranks[position]])

    def fates(self, apart: Literal["source", "both"], duplicates: Literal["pair", "source", "no"]) -> NDArray[np.int8]:
        """Return for each pair the position in `REASONS` of why it is dropped, or `KEPT`.

        Args:
            apart: the sides of valid and test whose texts may not stand in another split.
            duplicates: which pairs of a direction are the same: those with equal keys of both sides, of the source, or
                none. The first of them that is not dropped for another reason is kept.
        """
        ranks = np.frombuffer(self._ranks, np.int8)
        fates = np.full(len(ranks), KEPT, np.int8)
        for rank in (_GIVEN_VALID, _TRAIN, _VALID, _TEST):
            self._give_way(fates, ranks, rank, (0,) if apart == "source" else (0, 1))
        if duplicates != "no":
            self._drop_duplicates(fates, ranks, whole=duplicates == "pair")
        return fates

    def _give_way(self, fates: NDArray[np.int8], ranks: NDArray[np.int8], rank: int, apart: Iterable[int]) -> None:
        """Drop the pairs of a rank that share a text with another split of a lower one."""
        above = np.flatnonzero((ranks < rank) & (_SPLITS[ranks] != _SPLITS[rank]))
        if not len(above):
            return
        mine, theirs = ((0, 1), apart) if rank == _TRAIN else (apart, (0, 1))
        here = np.flatnonzero(ranks == rank)
        for side in mine:
            reason = _GIVEN if rank <= _TRAIN else (_SOURCE, _TARGET)[side]
            for other in theirs:
                here = here[fates[here] == KEPT]
                fates[here[np.isin(self._side(side)[here], self._side(other)[above])]] = reason

    def _drop_duplicates(self, fates: NDArray[np.int8], ranks: NDArray[np.int8], *, whole: bool) -> None:
        # A product with an odd number loses nothing, so that equal keys mean equal pairs, as surely as keys can.
        keys = self._side(0) ^ (self._side(1) * np.uint64(0x9E3779B97F4A7C15)) if whole else self._side(0)
        directions = np.frombuffer(self._directions, np.uint16)
        for direction in np.unique(directions):
            kept = np.flatnonzero((fates == KEPT) & (directions == direction))
            kept = kept[np.argsort(ranks[kept] > _GIVEN_VALID, kind="stable")]  # given ones stay, the others go
            _, first = np.unique(keys[kept], return_index=True)
            again = np.delete(kept, first)
            fates[again[ranks[again] > _GIVEN_VALID]] = _DUPLICATE

    def _side(self, side: int) -> NDArray[np.uint64]:
        """(pairs,) the keys of one side."""
        return np.frombuffer(self._keys[side], np.uint64)
