"""Subword regularisation: sample other splits of a text, reproducibly.

SentencePiece can sample splits too, but from its own generator, which is seeded differently in every process. Here the
caller passes the generator, so that equal seeds give equal splits everywhere.

A segment is cut into words. The splits of a word are computed once and cached, so that sampling one takes a
microsecond. Pieces without text of their own (bytes, UNK) and slots stay unchanged.
"""

import math
import zlib
from array import array
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from itertools import accumulate, chain, pairwise
from random import Random
from typing import NamedTuple, Self

Split = tuple[int, ...]
Splits = Mapping[Split, float]

SPACE = "▁"  # SentencePiece's mark at the beginning of a word

_MOST = 64  # candidate splits per stretch of text
_LONGEST = 8  # ids per stretch; a longer word, or a text without spaces, is cut between its present pieces
_REMEMBERED = 1 << 15  # cached words; a full cache takes about 70 MB


class _Choice(NamedTuple):
    """Weighted splits in packed form: all ids concatenated, the bounds of each split, and cumulative probabilities.

    `upto` has no entry for the last split, whose cumulative probability is 1.
    """

    ids: "array[int]"
    ends: "array[int]"
    upto: "array[float]"

    @classmethod
    def of(cls, splits: Splits) -> Self:
        """Pack splits and their weights."""
        *weights, total = accumulate(splits.values())
        return cls(
            array("i", chain.from_iterable(splits)),
            array("i", accumulate(map(len, splits), initial=0)),
            array("d", [weight / total for weight in weights]),
        )


class SubwordSampler:
    """A thread-safe `SampleSubwords`.

    `written` holds the text of each id, with a space as `SPACE`, or None for an id that is never split or merged.
    `splits` returns the possible splits of a text into ids, with weights; it must depend only on the text.
    """

    def __init__(self, written: Sequence[str | None], splits: Callable[[str], Splits]) -> None:
        self._written, self._splits = written, splits
        self._begins = [piece is None or piece.startswith(SPACE) for piece in written]
        self._choices = lru_cache(_REMEMBERED)(self._find)

    def __call__(self, ids: Sequence[int], random: Random) -> list[int]:
        """Return ids of the same text, which depend only on `ids` and the state of `random`."""
        begins, choices, uniform = self._begins, self._choices, random.random
        cuts = [at for at, index in enumerate(ids) if begins[index]]
        if not cuts or cuts[0]:
            cuts.insert(0, 0)
        drawn: list[int] = []
        for start, end in pairwise([*cuts, len(ids)]):
            for flat, ends, upto in choices(tuple(ids[start:end])):
                chosen = bisect(upto, uniform())
                drawn += flat[ends[chosen] : ends[chosen + 1]]
        return drawn

    def _find(self, word: Split) -> list[_Choice]:
        """Return the choices to draw in turn for a word; fixed ids, if there are any, come first."""
        texts = [self._written[index] for index in word]
        fixed = word[: texts.count(None)]
        found = [_Choice.of({fixed: 1.0})] if fixed else []
        free = [text for text in texts if text is not None]
        for at in range(0, len(free), _LONGEST):
            found.append(_Choice.of(self._splits("".join(free[at : at + _LONGEST]))))
        return found


def unigram_splits(pieces: Mapping[str, tuple[int, float]], alpha: float) -> Callable[[str], Splits]:
    """Return a function that finds the 64 most likely splits of a text, weighted by likelihood ** `alpha`.

    `pieces` maps each piece of a unigram model to its id and log-probability. The most likely split comes first (Kudo
    2018, section 3.3, with l = 64 applied to each stretch instead of the segment).
    """
    longest = max(map(len, pieces), default=0)

    def splits(text: str) -> Splits:
        # best[end]: the most likely splits of text[:end], each as (score, last id, start of its piece, rank of the
        # split before it). The last three break ties, so that the order is deterministic.
        best: list[list[tuple[float, int, int, int]]] = [[(0.0, -1, 0, 0)]]
        for end in range(1, len(text) + 1):
            ways: list[tuple[float, int, int, int]] = []
            for start in range(max(0, end - longest), end):
                if piece := pieces.get(text[start:end]):
                    index, score = piece
                    ways += [(so_far[0] + score, index, start, rank) for rank, so_far in enumerate(best[start])]
            ways.sort(reverse=True)
            best.append(ways[:_MOST])
        found: dict[Split, float] = {}
        for way in best[-1]:
            ids, at = [], way
            while at[1] >= 0:
                ids.append(at[1])
                at = best[at[2]][at[3]]
            found[tuple(reversed(ids))] = math.exp(alpha * (way[0] - best[-1][0][0]))
        return found

    return splits


def bpe_dropout_splits(pieces: Mapping[str, tuple[int, float]], dropout: float) -> Callable[[str], Splits]:
    """Return a function that draws 64 splits of a text by BPE-dropout, weighted by their counts.

    `pieces` maps each piece to its id and a score, which is higher for pieces that were learnt earlier. At each step
    the neighbours whose merged piece has the highest score are merged, the leftmost if there are several; each possible
    merge is skipped with probability `dropout` (Provilkov et al. 2020, algorithm 1).
    """

    def merges(parts: tuple[str, ...]) -> list[tuple[str, ...]]:
        joined = map("".join, pairwise(parts))
        scored = sorted((-pieces[pair][1], at) for at, pair in enumerate(joined) if pair in pieces)
        return [(*parts[:at], parts[at] + parts[at + 1], *parts[at + 2 :]) for _, at in scored]

    def splits(text: str) -> Splits:
        uniform = Random(zlib.crc32(text.encode())).random  # equal for equal texts, even if the cache dropped them
        after = cache(merges)  # most draws share their first merges

        def split() -> Split:
            parts, left = tuple(text), True
            while left:
                for merge in after(parts):
                    if uniform() >= dropout:
                        parts = merge
                        break
                else:
                    left = False
            return tuple(pieces[part][0] for part in parts)

        return Counter(split() for _ in range(_MOST))

    return splits
