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
valid split that a corpus provides loses only texts of that test split, and training loses the texts of both. The pairs
of a corpus that is for training only are dropped if one of their texts is in valid or test, so these never change.

The second guarantee needs only keys: whether a pair is dropped depends on which other ranks have its texts, for
duplicates also on which pairs before it are kept. So both are decided range by range of keys, whatever the size of the
corpus.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seqloom.corpus.keys import fraction_of, mask
from seqloom.corpus.settings import SplitSettings
from seqloom.corpus.splits import Split
from seqloom.languages import Direction

Apart = Literal["source", "both"]
Duplicates = Literal["pair", "source", "no"]

# Names of the reasons to drop a pair, as in the metrics; decisions are indices into them, or KEPT.
REASONS = (
    "source_in_earlier_split", "target_in_earlier_split", "duplicate", "text_of_given_split",
    "text_of_valid_or_test",
)  # fmt: skip
USUAL = 3  # the others are counted only if they occur
KEPT = -1
_SOURCE, _TARGET, _DUPLICATE, _GIVEN, _TRAINING_ONLY = range(len(REASONS))

# A pair yields to pairs of lower rank in other splits. Splits provided by a corpus come first.
_GIVEN_TEST, _GIVEN_VALID, _TRAIN, _VALID, _TEST, TRAINING_ONLY_RANK = range(6)
SPLIT_OF_RANK = np.array([Split.test, Split.valid, Split.train, Split.valid, Split.test, Split.train], np.int8)
_RANKS = {Split.train: _TRAIN, Split.valid: _VALID, Split.test: _TEST}
_GIVEN_RANKS = {Split.train: _TRAIN, Split.valid: _GIVEN_VALID, Split.test: _GIVEN_TEST}
_WIDTH = len(SPLIT_OF_RANK)


def split_of(text: str, group: str, settings: SplitSettings) -> Split:
    """Return the split of a pair; `text` is its cleaned text in the pivot language, `group` may be empty."""
    # The hash omits the corpus name, so two releases of a catalogue get the same split.
    kept_together = group if group and settings.by == "group" else mask(text)
    fraction = fraction_of(kept_together, settings.salt)
    if fraction < settings.test:
        return Split.test
    return Split.valid if fraction < settings.test + settings.valid else Split.train


def rank_of(split: Split, *, given: bool) -> int:
    """Return the rank of a pair; `given` if its corpus provides the split."""
    return (_GIVEN_RANKS if given else _RANKS)[split]


def pivots(directions: Sequence[Direction]) -> dict[Direction, int]:
    """Return for each direction the side, 0 or 1, whose text determines the split.

    It is the side whose language occurs in more directions; the source, if there is only one direction. So if a corpus
    has a text in many languages, all its pairs with the same English text get the same split, and so do a pair and its
    reverse.
    """
    shared = Counter(chain.from_iterable(directions))
    ranking = [language for language, _ in shared.most_common()]  # ties: the first one listed
    return {each: int(ranking.index(each.target) < ranking.index(each.source)) for each in directions}


def shared_texts(
    keys: NDArray[np.uint64], sides: NDArray[np.int8], ranks: NDArray[np.int8], apart: Apart
) -> NDArray[np.int8]:
    """Return, for each text, the reason to drop its pair because a pair before it in another split has it, or `KEPT`.

    Args:
        keys: (texts,) the key of each text; all texts with these keys must be given.
        sides: (texts,) 0 for the source of a pair, 1 for the target.
        ranks: (texts,) the rank of the pair.
        apart: the sides of valid and test whose texts must not be in another split.
    """
    order = np.argsort(keys, kind="stable")
    codes = (sides * np.int8(_WIDTH) + ranks)[order]
    first = np.flatnonzero(np.diff(keys[order], prepend=~keys[order[:1]]))  # of the texts with the same key
    seen = np.bitwise_or.reduceat(np.left_shift(1, codes, dtype=np.int16), first) if len(first) else first
    shared = np.repeat(seen, np.diff(first, append=len(keys))) & _yields_to(apart)[codes] != 0
    reasons = np.full(len(keys), KEPT, np.int8)
    mine = codes % _WIDTH
    found = np.where(mine == TRAINING_ONLY_RANK, _TRAINING_ONLY, np.where(mine <= _TRAIN, _GIVEN, codes // _WIDTH))
    reasons[order[shared]] = found[shared]
    return reasons


def _yields_to(apart: Apart) -> NDArray[np.int16]:
    """(sides x ranks,) the texts to which a text of this side and rank yields, as bits of the same numbering."""
    chosen = (0,) if apart == "source" else (0, 1)
    found = np.zeros(2 * _WIDTH, np.int16)
    for rank in range(_WIDTH):
        above = [each for each in range(rank) if SPLIT_OF_RANK[each] != SPLIT_OF_RANK[rank]]
        mine, theirs = ((0, 1), chosen) if SPLIT_OF_RANK[rank] == Split.train else (chosen, (0, 1))
        for side in mine:
            found[side * _WIDTH + rank] = sum(1 << (other * _WIDTH + each) for other in theirs for each in above)
    return found


def duplicates(
    keys: tuple[NDArray[np.uint64], NDArray[np.uint64]],
    directions: NDArray[np.uint16],
    ranks: NDArray[np.int8],
    positions: NDArray[np.uint64],
    mode: Duplicates,
) -> NDArray[np.bool_]:
    """Return which of some pairs are duplicates of others of their direction; the first one is not.

    Pairs of valid and test splits that a corpus provides come first, and are never dropped.

    Args:
        keys: (pairs,) those of the sources and those of the targets; all pairs with these source keys must be given,
            except those that are dropped for another reason.
        directions: (pairs,) a number for each direction.
        ranks: (pairs,) their ranks.
        positions: (pairs,) numbers in the order of the corpus.
        mode: what must be equal: both keys (`pair`), those of the sources (`source`), or nothing (`no`).
    """
    again = np.zeros(len(positions), np.bool_)
    if mode == "no" or not len(positions):
        return again
    # Multiplication by an odd number is invertible mod 2^64, so combined keys collide no more than others.
    whole = keys[0] ^ (keys[1] * np.uint64(0x9E3779B97F4A7C15)) if mode == "pair" else keys[0]
    given = ranks <= _GIVEN_VALID
    order = np.lexsort((positions, ~given, whole, directions))
    same = np.zeros(len(order), np.bool_)  # as the pair before it
    same[1:] = (np.diff(whole[order]) == 0) & (np.diff(directions[order]) == 0)
    again[order] = same
    return again & ~given
