"""Splits text anew, at random and repeatably, whatever learnt the pieces (subword regularisation).

SentencePiece can draw splits too, but from a generator of its own that begins elsewhere in every process. Here each
draw comes from the generator that the caller gives, so that equal seeds draw the same anywhere.

A segment is cut into words, which recur: what a word may become is found once, and a draw takes a microsecond. Pieces
that stand for something else (bytes, the unknown) stay where they are; so does a slot, which is part of no other piece.
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

SPACE = "▁"  # as SentencePiece writes it, at the beginning of a word

_MOST = 64  # splits of one stretch of text to choose from
_LONGEST = 8  # ids; a longer word, or a text without spaces, is several stretches, cut where it is split already
_REMEMBERED = 1 << 15  # words; a full memory takes about 70 MB


class _Choice(NamedTuple):
    """Splits, packed: all ids on end, where each split begins and ends among them, and up to where each is drawn.

    `upto` adds up the shares of all splits but the last, which is drawn from there to 1.
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
    """A `SampleSubwords` over pieces. Several threads may call it at once.

    `written` holds each id as it is written, a space as `SPACE`, or None for an id that is never split or joined.
    `splits` returns the splits of a text into ids, each with its weight, and depends on the text alone.
    """

    def __init__(self, written: Sequence[str | None], splits: Callable[[str], Splits]) -> None:
        self._written, self._splits = written, splits
        self._begins = [piece is None or piece.startswith(SPACE) for piece in written]
        self._choices = lru_cache(_REMEMBERED)(self._find)

    def __call__(self, ids: Sequence[int], random: Random) -> list[int]:
        """Return ids of the same text; what is drawn depends on the ids and the state of `random` alone."""
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
        """What to draw, one after the other, for a word or what follows a fixed id, which comes first."""
        texts = [self._written[index] for index in word]
        fixed = word[: texts.count(None)]
        found = [_Choice.of({fixed: 1.0})] if fixed else []
        free = [text for text in texts if text is not None]
        for at in range(0, len(free), _LONGEST):
            found.append(_Choice.of(self._splits("".join(free[at : at + _LONGEST]))))
        return found


def unigram_splits(pieces: Mapping[str, tuple[int, float]], alpha: float) -> Callable[[str], Splits]:
    """Return the splits of a unigram model: of a text the 64 likeliest, by their likelihood to the power of `alpha`.

    `pieces` holds the id and the log-probability of each piece. The likeliest comes first (Kudo 2018, section 3.3, with
    l = 64 for each stretch in place of the segment).
    """
    longest = max(map(len, pieces), default=0)

    def splits(text: str) -> Splits:
        # best[end]: the likeliest splits of text[:end], each as its score, its last id, where that begins and the
        # number of the split before it. Splits that are as likely are told apart by the rest, so that order repeats.
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
    """Return the splits of byte pair encoding that leaves out merges: of a text 64, drawn once, by how often they came.

    `pieces` holds the id of each piece and a score, the higher the earlier it was learnt. Of all neighbours that make a
    piece those of the highest score are merged, the leftmost of equals, until there are none; at each step each merge
    is left out with the probability `dropout` (Provilkov et al. 2020, algorithm 1).
    """

    def merges(parts: tuple[str, ...]) -> list[tuple[str, ...]]:
        joined = map("".join, pairwise(parts))
        scored = sorted((-pieces[pair][1], at) for at, pair in enumerate(joined) if pair in pieces)
        return [(*parts[:at], parts[at] + parts[at + 1], *parts[at + 2 :]) for _, at in scored]

    def splits(text: str) -> Splits:
        uniform = Random(zlib.crc32(text.encode())).random  # the same for a text, however often it was forgotten
        after = cache(merges)  # most draws go the same way

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
