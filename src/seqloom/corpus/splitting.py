"""Assigns pairs to splits, and drops pairs whose text is in another split.

Two guarantees hold for any corpus:

- **A pair never moves to another split.** Its split depends only on the salt and its group (without a group, its masked
  text in the pivot language), not on its position or other pairs. As a corpus grows, a text of training never moves to
  test, or the other way round. A pair of valid or test can only disappear, when a group of training adds its text.
- **No text is in two splits**, compared with digits and placeholders masked. A text in training and valid is dropped
  from valid; a text in either of them and in test is dropped from test. With `apart: both` this includes target texts.
  It holds across directions: a target of one may be a source of another, so texts of valid and test are compared with
  both sides of training.

A test split that a corpus provides is a benchmark and stays complete: texts in it are dropped from all other splits. A
valid split that a corpus provides loses only texts of that test split, and training loses the texts of both.

The second guarantee requires all texts to be known before the first test pair is written, so a `TextIndex` is built
first. It takes 19 bytes per pair, two 64-bit keys, a rank and a direction, and contains no text.
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

# Names of the reasons to drop a pair, as in the metrics; `drop_reasons` returns indices into them, or KEPT.
REASONS = ("source_in_earlier_split", "target_in_earlier_split", "duplicate", "text_of_given_split")
KEPT = -1
_SOURCE, _TARGET, _DUPLICATE, _GIVEN = range(len(REASONS))

# A pair yields to pairs of lower rank in other splits. Splits provided by a corpus come first.
_GIVEN_TEST, _GIVEN_VALID, _TRAIN, _VALID, _TEST = range(5)
_SPLITS = np.array([Split.test, Split.valid, Split.train, Split.valid, Split.test], np.int8)
_RANKS = {Split.train: _TRAIN, Split.valid: _VALID, Split.test: _TEST}
_GIVEN_RANKS = {Split.train: _TRAIN, Split.valid: _GIVEN_VALID, Split.test: _GIVEN_TEST}


def split_of(text: str, group: str, settings: SplitSettings) -> Split:
    """Return the split of a pair; `text` is its cleaned text in the pivot language, `group` may be empty."""
    # The hash omits the corpus name, so two releases of a catalogue get the same split.
    kept_together = group if group and settings.by == "group" else mask(text)
    fraction = fraction_of(kept_together, settings.salt)
    if fraction < settings.test:
        return Split.test
    return Split.valid if fraction < settings.test + settings.valid else Split.train


def pivots(directions: Sequence[Direction]) -> dict[Direction, int]:
    """Return for each direction the side, 0 or 1, whose text determines the split.

    It is the side whose language occurs in more directions; the source, if there is only one direction. So if a corpus
    has a text in many languages, all its pairs with the same English text get the same split, and so do a pair and its
    reverse.
    """
    shared = Counter(chain.from_iterable(directions))
    ranking = [language for language, _ in shared.most_common()]  # ties: the first one listed
    return {each: int(ranking.index(each.target) < ranking.index(each.source)) for each in directions}


class TextIndex:
    """The ranks, directions and keys of all pairs, in order."""

    def __init__(self) -> None:
        self._ranks, self._directions = array("b"), array("H")
        self._keys = array("Q"), array("Q")

    def add(self, split: Split, source: int, target: int, direction: int = 0, *, given: bool = False) -> None:
        """Append a pair by the keys of its texts (`keys.key_of`); `given` if the corpus provided the split."""
        self._ranks.append((_GIVEN_RANKS if given else _RANKS)[split])
        self._directions.append(direction)
        for keys, key in zip(self._keys, (source, target), strict=True):
            keys.append(key)

    def split(self, position: int) -> Split:
        """Return the split of a pair."""
        return Split(_SPLITS[self._ranks[position]])

    def drop_reasons(
        self, apart: Literal["source", "both"], duplicates: Literal["pair", "source", "no"]
    ) -> NDArray[np.int8]:
        """Return, for each pair, the index in `REASONS` of why it is dropped, or `KEPT`.

        Args:
            apart: the sides of valid and test whose texts must not be in another split.
            duplicates: when two pairs of a direction are duplicates: if the keys of both sides are equal (`pair`), if
                those of the source are (`source`), or never (`no`). The first pair that is not dropped for another
                reason is kept.
        """
        ranks = np.frombuffer(self._ranks, np.int8)
        reasons = np.full(len(ranks), KEPT, np.int8)
        for rank in (_GIVEN_VALID, _TRAIN, _VALID, _TEST):
            self._drop_shared(reasons, ranks, rank, (0,) if apart == "source" else (0, 1))
        if duplicates != "no":
            self._drop_duplicates(reasons, ranks, whole=duplicates == "pair")
        return reasons

    def _drop_shared(self, reasons: NDArray[np.int8], ranks: NDArray[np.int8], rank: int, apart: Iterable[int]) -> None:
        """Drop the pairs of a rank that share a text with a pair of lower rank in another split."""
        above = np.flatnonzero((ranks < rank) & (_SPLITS[ranks] != _SPLITS[rank]))
        if not len(above):
            return
        mine, theirs = ((0, 1), apart) if rank == _TRAIN else (apart, (0, 1))
        here = np.flatnonzero(ranks == rank)
        for side in mine:
            reason = _GIVEN if rank <= _TRAIN else (_SOURCE, _TARGET)[side]
            for other in theirs:
                here = here[reasons[here] == KEPT]
                reasons[here[np.isin(self._side(side)[here], self._side(other)[above])]] = reason

    def _drop_duplicates(self, reasons: NDArray[np.int8], ranks: NDArray[np.int8], *, whole: bool) -> None:
        # Multiplication by an odd number is invertible mod 2^64, so combined keys collide no more than others.
        keys = self._side(0) ^ (self._side(1) * np.uint64(0x9E3779B97F4A7C15)) if whole else self._side(0)
        directions = np.frombuffer(self._directions, np.uint16)
        for direction in np.unique(directions):
            kept = np.flatnonzero((reasons == KEPT) & (directions == direction))
            kept = kept[np.argsort(ranks[kept] > _GIVEN_VALID, kind="stable")]  # provided pairs first: they are kept
            _, first = np.unique(keys[kept], return_index=True)
            again = np.delete(kept, first)
            reasons[again[ranks[again] > _GIVEN_VALID]] = _DUPLICATE

    def _side(self, side: int) -> NDArray[np.uint64]:
        """(pairs,) the keys of one side."""
        return np.frombuffer(self._keys[side], np.uint64)
