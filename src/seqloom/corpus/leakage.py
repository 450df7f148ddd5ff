"""Leakage: what valid and test share with training, measured on the written files.

Measured for valid and for test:

- `sources` and `targets`: the number of segments whose source or target text also occurs in training, on either side,
  in the same language. Digits and placeholders are masked.
- `near_copies`: how many segments of a sample have a near-copy in training: a source whose set of character 5-grams
  (masked, lower case) has a Jaccard similarity of at least `near_copy` with theirs. The count is exact, using prefix
  filtering: a text that shares a fraction t of its n grams with another shares k of its n - ceil(t n) + k rarest grams
  (S. Chaudhuri, V. Ganti, R. Kaushik: A primitive operator for similarity joins in data cleaning, ICDE 2006). Only
  the first 1,000 characters of a text are compared.

Training is streamed; memory holds the keys of valid and test, and the grams of the sample.
"""

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from seqloom.corpus.keys import fraction_of, key_of, languages_of, mask
from seqloom.corpus.splits import Split, read_split
from seqloom.languages import Direction

_GRAM = 5
_HEAD = 1000  # characters; each takes about a hundred bytes of memory
_REPORT_EVERY = 1000  # pairs


class Leakage(NamedTuple):
    """What a split shares with training, in segments; `near_copies` counts those of a sample of `compared` segments."""

    segments: int
    sources: int
    targets: int
    compared: int
    near_copies: int

    @property
    def share(self) -> float:
        """The share of near-copies in the sample."""
        return self.near_copies / self.compared if self.compared else 0.0


def measure_leakage(
    folder: Path,
    directions: Sequence[Direction],
    near_copy: float,
    sample: int,
    report: Callable[[int], None] = lambda done: None,
) -> dict[Split, Leakage]:
    """Compare valid and test with training.

    Args:
        folder: contains train.tsv, valid.tsv and test.tsv.
        directions: the directions of the pairs.
        near_copy: the least similarity, in (0, 1], of near-copies.
        sample: segments per split to compare for near-copies, at most; the choice depends only on the texts.
        report: called with the number of training pairs read.
    """
    languages = {str(direction): languages_of(direction) for direction in directions}
    read = {source for source, _ in languages.values()}
    held_out = {
        split: _HeldOut(folder / split.file_name, languages, near_copy, sample) for split in (Split.valid, Split.test)
    }
    for number, pair in enumerate(read_split(folder / Split.train.file_name), 1):
        for text, language in zip(pair[:2], languages[pair.direction], strict=True):
            key, grams = key_of(text, language), grams_of(text) if language in read else None
            for one in held_out.values():
                one.compare(key, grams)
        if number % _REPORT_EVERY == 0:
            report(number)
    return {split: one.leakage() for split, one in held_out.items()}


def grams_of(text: str) -> frozenset[str]:
    """Return the character 5-grams of a text, masked and in lower case; a shorter text is its own only gram."""
    text = mask(text[:_HEAD]).casefold()
    return frozenset(text[start : start + _GRAM] for start in range(max(1, len(text) - _GRAM + 1)))


class _HeldOut:
    """A split, indexed for comparison with training."""

    def __init__(self, path: Path, languages: dict[str, tuple[str, str]], near_copy: float, sample: int) -> None:
        self._sources = Counter(key_of(pair.source, languages[pair.direction][0]) for pair in read_split(path))
        self._targets = Counter(key_of(pair.target, languages[pair.direction][1]) for pair in read_split(path))
        chosen = heapq.nsmallest(sample, (pair.source for pair in read_split(path)), key=_draw)
        self._near = NearCopies(chosen, near_copy)
        self._shared_sources: set[int] = set()
        self._shared_targets: set[int] = set()

    def compare(self, key: int, grams: frozenset[str] | None) -> None:
        """Record matches with a training text; `grams` are None if its language is never a source."""
        if key in self._sources:
            self._shared_sources.add(key)
        if key in self._targets:
            self._shared_targets.add(key)
        if grams is not None:
            self._near.compare(grams)

    def leakage(self) -> Leakage:
        return Leakage(
            segments=self._sources.total(),
            sources=sum(self._sources[key] for key in self._shared_sources),
            targets=sum(self._targets[key] for key in self._shared_targets),
            compared=self._near.compared,
            near_copies=len(self._near.found),
        )


def _draw(text: str) -> tuple[float, str]:
    return fraction_of(text, "leakage"), text


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
        self.compared = len(self._grams)
        self.found: set[int] = set()

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
            shared = len(grams & theirs)
            if shared >= self._similarity * (len(grams) + len(theirs) - shared):
                self.found.add(position)

    def _rarest(self, known: Iterable[str], size: int) -> list[str]:
        """Return the rarest grams of a text of `size` grams, ignoring grams that are not in the index."""
        known = sorted(known, key=lambda gram: (self._frequency[gram], gram))
        length = size - math.ceil(self._similarity * size) + self._least(size)
        return known[: max(0, length - (size - len(known)))]

    def _least(self, size: int) -> int:
        """Return how many of its rarest grams a text must share; more than one rules out most long texts early."""
        return min(1 + size // 20, math.ceil(self._similarity * size))
