"""Near-copies: texts whose sets of character 5-grams (masked, lower case) have at least a given Jaccard similarity.

`NearCopies` finds all of them, using prefix filtering: a text that shares a fraction t of its n grams with another
shares k of its n - ceil(t n) + k rarest grams (S. Chaudhuri, V. Ganti, R. Kaushik: A primitive operator for similarity
joins in data cleaning, ICDE 2006). It takes about 100 bytes per gram, so it is for some thousand texts; `minhash` is
for any number. Only the first 1,000 characters of a text are compared.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import chain

from seqloom.corpus.keys import mask

GRAM = 5
_HEAD = 1000  # characters


def comparable(text: str) -> str:
    """Return the beginning of a text, masked and in lower case."""
    return mask(text[:_HEAD]).casefold()


def grams_of(text: str) -> frozenset[str]:
    """Return the character 5-grams of a text, masked and in lower case; a shorter text is its own only gram."""
    text = comparable(text)
    return frozenset(text[start : start + GRAM] for start in range(max(1, len(text) - GRAM + 1)))


def similar(grams: frozenset[str], others: frozenset[str], similarity: float) -> bool:
    """Return whether the Jaccard similarity of two sets of grams is at least `similarity`."""
    shared = len(grams & others)
    return shared >= similarity * (len(grams) + len(others) - shared)


class NearCopies:
    """Texts indexed by their rarest grams; `found` contains the positions of those that have a near-copy."""

    def __init__(self, texts: Iterable[str], similarity: float) -> None:
        self._similarity = similarity
        self._grams = [grams_of(text) for text in texts]
        self._frequency = Counter(gram for grams in self._grams for gram in grams)
        self._postings: defaultdict[str, list[int]] = defaultdict(list)
        for position, grams in enumerate(self._grams):
            for gram in self._rarest(grams, len(grams)):
                self._postings[gram].append(position)
        self.found: set[int] = set()

    def forget(self) -> None:
        """Begin anew, with no text found."""
        self.found.clear()

    def compare_all(self, texts: Iterable[str]) -> None:
        """Record which texts are similar to one of these."""
        for text in texts:
            self.compare(grams_of(text))

    def compare(self, grams: frozenset[str]) -> None:
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

    def _rarest(self, known: Iterable[str], size: int) -> list[str]:
        """Return the rarest grams of a text of `size` grams, ignoring grams that are not in the index."""
        known = sorted(known, key=lambda gram: (self._frequency[gram], gram))
        length = size - math.ceil(self._similarity * size) + self._least(size)
        return known[: max(0, length - (size - len(known)))]

    def _least(self, size: int) -> int:
        """Return how many of its rarest grams a text must share; more than one rules out most long texts early."""
        return min(1 + size // 20, math.ceil(self._similarity * size))
