"""Near-copies: texts whose sets of character 5-grams (masked, lower case) have at least a given Jaccard similarity.

`NearCopies` finds all of them, using prefix filtering: a text that shares a fraction t of its n grams with another
shares k of its n - ceil(t n) + k rarest grams (S. Chaudhuri, V. Ganti, R. Kaushik: A primitive operator for similarity
joins in data cleaning, ICDE 2006). It takes about 100 bytes per gram, so it is for some thousand texts; `minhash` is
for any number. Only the first 1,000 characters of a text are compared.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain, islice, pairwise

import numpy as np
from numpy.typing import NDArray

from seqloom.corpus.keys import mask

GRAM = 5
HEAD = 1000
"""Characters of a text that are compared."""
ODD = np.uint64(0x9E3779B97F4A7C15)
"""Multiplication by an odd number is invertible mod 2^64."""
Grams = frozenset[int]
"""The grams of a text, as 64-bit hashes. Collisions are too rare to matter."""

_BATCH = 4096  # texts that are compared together
_OWNER = 52  # the text's number in its batch is stored above this bit
_SPARSE = 8  # table entries per gram
_ROUNDING = 1e-6  # so that rounding errors rule out no text


def grams_of(texts: Sequence[str]) -> list[Grams]:
    """Return the grams of each text: its character 5-grams, masked and in lower case.

    A shorter text is its own only gram.
    """
    hashes, starts = gram_hashes(texts)
    every = hashes.tolist()
    return [frozenset(every[start:end]) for start, end in pairwise(starts.tolist())]


def gram_hashes(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the hashes of the grams of all texts in order, and where those of each text begin (texts + 1,)."""
    # Padding gives a short text one gram of its own, and separates texts: grams that cross a border are left out.
    each = [mask(text[:HEAD]).casefold().ljust(GRAM, "\0") for text in texts]
    lengths = np.fromiter(map(len, each), np.int64, len(each))
    codes = np.frombuffer("".join(each).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    hashes = np.zeros(max(0, len(codes) - GRAM + 1), np.uint64)
    for offset in range(GRAM):
        hashes = mixed(hashes ^ codes[offset : offset + len(hashes)])
    ends = np.cumsum(lengths)
    inside = np.ones(len(codes), np.bool_)
    for offset in range(1, GRAM):
        inside[ends - offset] = False
    starts = np.concatenate([[0], np.cumsum(lengths - GRAM + 1)])
    return hashes[inside[: len(hashes)]], starts


def mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return numbers whose bits depend on all bits of the given ones; different ones stay different."""
    values = (values ^ (values >> np.uint64(32))) * ODD
    return values ^ (values >> np.uint64(29))


def similar(grams: Grams, others: Grams, similarity: float) -> bool:
    """Return whether the Jaccard similarity of two sets of grams is at least `similarity`."""
    shared = len(grams & others)
    return shared >= similarity * (len(grams) + len(others) - shared)


class NearCopies:
    """Texts indexed by their rarest grams; `found` contains the positions of those that have a near-copy."""

    def __init__(self, texts: Sequence[str], similarity: float) -> None:
        self._similarity = similarity
        self._grams = grams_of(texts)
        self._frequency = Counter(chain.from_iterable(self._grams))
        self._filter = _KnownGrams(self._frequency)
        self._postings: defaultdict[int, list[int]] = defaultdict(list)
        for position, grams in enumerate(self._grams):
            for gram in self._rarest(grams, len(grams)):
                self._postings[gram].append(position)
        self.found: set[int] = set()

    def forget(self) -> None:
        """Begin anew, with no text found."""
        self.found.clear()

    def compare_all(self, texts: Iterable[str]) -> None:
        """Record which texts are similar to one of these."""
        waiting = iter(texts)
        while batch := list(islice(waiting, _BATCH)):
            hashes, starts = gram_hashes(batch)
            for number in self._filter.candidates(hashes, starts, self._similarity).tolist():
                self._compare(frozenset(hashes[starts[number] : starts[number + 1]].tolist()))

    def _compare(self, grams: Grams) -> None:
        """Record which texts are similar to the text with these grams."""
        known = [gram for gram in grams if gram in self._frequency]
        if len(known) < self._similarity * len(grams):  # only known grams can be shared
            return
        rarest = self._rarest(known, len(grams))
        hits = Counter(chain.from_iterable(self._postings.get(gram, ()) for gram in rarest))
        ours = self._least(len(grams))
        for position, count in hits.items():
            theirs = self._grams[position]
            if position in self.found or count < min(ours, self._least(len(theirs))):
                continue
            if similar(grams, theirs, self._similarity):
                self.found.add(position)

    def _rarest(self, known: Iterable[int], size: int) -> list[int]:
        """Return the rarest grams of a text of `size` grams, ignoring grams that are not in the index."""
        ranked = sorted(known, key=lambda gram: (self._frequency[gram], gram))
        length = size - math.ceil(self._similarity * size) + self._least(size)
        return ranked[: max(0, length - (size - len(ranked)))]

    def _least(self, size: int) -> int:
        """Return how many of its rarest grams a text must share; more than one rules out most long texts early."""
        return min(1 + size // 20, math.ceil(self._similarity * size))


class _KnownGrams:
    """Rules out texts with too many unknown grams, a batch at a time. Some that have too many may pass."""

    def __init__(self, grams: Iterable[int]) -> None:
        hashes = np.fromiter(grams, np.uint64)
        self._mask = np.uint64((1 << (_SPARSE * len(hashes)).bit_length()) - 1)
        self._known = np.zeros(int(self._mask) + 1, np.bool_)  # by the low bits of a hash
        self._known[self._low(hashes)] = True

    def candidates(self, hashes: NDArray[np.uint64], starts: NDArray[np.int64], similarity: float) -> NDArray[np.int64]:
        """Return the numbers of the texts that can have `similarity` to a known one, given those of `gram_hashes`."""
        lengths = np.diff(starts)
        owners = np.repeat(np.arange(len(lengths), dtype=np.uint64) << _OWNER, lengths)
        unknown = ~self._known[self._low(hashes)]
        # A repeated gram counts once. Without low bits different grams may be equal, so a count is never too high.
        found = np.sort(owners[unknown] | (hashes[unknown] >> np.uint64(64 - _OWNER)))  # np.unique is much slower
        distinct = found[np.diff(found, prepend=~found[:1]) != 0]
        counts = np.bincount((distinct >> _OWNER).astype(np.int64), minlength=len(lengths))
        return np.flatnonzero(counts <= (1 - similarity) * lengths + _ROUNDING)

    def _low(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        return (hashes & self._mask).astype(np.int64)
