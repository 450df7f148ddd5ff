"""Statistics of the training split: lengths of texts, and the share of texts in the expected language.

Lengths cover every pair. Languages are recognised on a sample that depends only on the texts, not on their order.
Only texts of at least 40 bytes (about six words), without placeholders, are used: the recogniser misclassifies one in
five interface strings of one or two words, but only one in a hundred of these longer texts.

Everything is counted in integers and in samples by hash, so statistics of parts of a corpus can be added in any order.
"""

import hashlib
import heapq
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqloom import language_recognition
from seqloom.arrow import array_of, numbers_of, pa, pc
from seqloom.errors import CorpusError
from seqloom.languages import Direction
from seqloom.text import PLACEHOLDER

_SAMPLE = 2000  # texts per side
_LEAST = 40  # bytes; shorter texts are not recognised reliably
_HEAD = 300  # characters given to the recogniser
_SIDES = ("source", "target")


class Lengths(NamedTuple):
    """Lengths of texts, in words or characters: mean, median and 95th percentile."""

    mean: float
    p50: int
    p95: int


class Statistics(NamedTuple):
    """Statistics of the training split. `ratio` is the mean of target length over source length, in characters.

    `languages` is the share of sampled texts in the expected language, by side. It lacks a side whose texts are all too
    short, or whose language the recogniser does not support.
    """

    words: dict[str, Lengths]
    characters: dict[str, Lengths]
    ratio: float
    languages: dict[str, float]

    def record(self) -> dict[str, Any]:
        """Return the statistics as in metrics/corpus.json."""
        units = {"words": self.words, "characters": self.characters}
        lengths = {
            side: {unit: found[side]._asdict() for unit, found in units.items()} for side in ("source", "target")
        }
        return {"lengths": {**lengths, "ratio": self.ratio}, "language": self.languages}


class _Sample:
    """The texts with the smallest hashes, regardless of their order."""

    def __init__(self) -> None:
        self.kept: list[tuple[int, str, str]] = []

    def offer(self, text: str, language: str) -> None:
        """Add a text if its hash is among the smallest."""
        text = " ".join(PLACEHOLDER.sub(" ", text).split())[:_HEAD]
        encoded = text.encode()
        if len(encoded) >= _LEAST:
            self.add((-int.from_bytes(hashlib.blake2b(encoded, digest_size=8).digest()), text, language))

    def add(self, found: tuple[int, str, str]) -> None:
        """Add an entry of another sample."""
        if len(self.kept) < _SAMPLE:
            heapq.heappush(self.kept, found)
        elif found > self.kept[0]:
            heapq.heapreplace(self.kept, found)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((text, language) for _, text, language in sorted(self.kept))


class Tally:
    """What the statistics are computed from; tallies of parts of a corpus can be added."""

    def __init__(self, directions: Sequence[Direction]) -> None:
        self._directions = {str(direction): direction for direction in directions}
        self._words: tuple[Counter[int], Counter[int]] = Counter(), Counter()
        self._characters: tuple[Counter[int], Counter[int]] = Counter(), Counter()
        self._targets: Counter[int] = Counter()  # for each length of a source, the characters of all its targets
        self._samples = (_Sample(), _Sample())

    def count(self, pairs: "pa.RecordBatch") -> None:
        """Count pairs with the columns of `splits.Pair`."""
        lengths = []
        for side, name in enumerate(_SIDES):
            texts = pairs.column(name)
            lengths.append(numbers_of(pc.utf8_length(texts)))
            _count(self._words[side], numbers_of(pc.count_substring(texts, " ")) + 1)
            _count(self._characters[side], lengths[-1])
            # What is offered is not longer than the text, so short ones need not be looked at.
            long = pairs.filter(array_of(numbers_of(pc.binary_length(texts)) >= _LEAST, pa.bool_()))
            directions = map(self._directions.__getitem__, long.column("direction").to_pylist())
            for text, direction in zip(long.column(name).to_pylist(), directions, strict=True):
                self._samples[side].offer(text, direction[side])
        sources, where = np.unique(lengths[0], return_inverse=True)
        sums = np.zeros(len(sources), np.int64)
        np.add.at(sums, where, lengths[1])
        self._targets.update(dict(zip(sources.tolist(), sums.tolist(), strict=True)))

    def part(self) -> dict[str, Any]:
        """Return the tally as plain data, for `add`."""
        counters = (*self._words, *self._characters, self._targets)
        return {
            "counts": [list(each.items()) for each in counters],
            "samples": [sample.kept for sample in self._samples],
        }

    def add(self, part: Mapping[str, Any]) -> None:
        """Add the tally of a part of the corpus."""
        counters = (*self._words, *self._characters, self._targets)
        for counts, found in zip(counters, part["counts"], strict=True):
            counts.update(dict(found))
        for sample, kept in zip(self._samples, part["samples"], strict=True):
            for key, text, language in kept:
                sample.add((key, text, language))

    def statistics(self) -> Statistics:
        """Return the statistics of the pairs, of which there must be some.

        Raises:
            CorpusError: the language recogniser py3langid is not installed.
        """
        shares = {side: _recognised(sample) for side, sample in zip(_SIDES, self._samples, strict=True)}
        ratios = math.fsum(total / length for length, total in self._targets.items())
        return Statistics(
            {side: _lengths(counts) for side, counts in zip(_SIDES, self._words, strict=True)},
            {side: _lengths(counts) for side, counts in zip(_SIDES, self._characters, strict=True)},
            round(ratios / self._words[0].total(), 4),
            {side: share for side, share in shares.items() if share is not None},
        )


def _count(counts: Counter[int], lengths: NDArray[np.int32]) -> None:
    found, times = np.unique(lengths, return_counts=True)
    counts.update(dict(zip(found.tolist(), times.tolist(), strict=True)))


def _lengths(counts: Counter[int]) -> Lengths:
    total = counts.total()
    mean = sum(length * count for length, count in counts.items()) / total
    return Lengths(round(mean, 2), _quantile(counts, total, 50), _quantile(counts, total, 95))


def _quantile(counts: Counter[int], total: int, percent: int) -> int:
    """The smallest length that at least `percent` per cent of the texts do not exceed."""
    passed = 0
    for length in sorted(counts):
        passed += counts[length]
        if passed * 100 >= percent * total:
            return length
    raise AssertionError(counts)


def _recognised(sample: _Sample) -> float | None:
    texts = list(sample)
    if not texts:
        return None
    recognise, known = _recogniser()
    asked = [(text, code) for text, language in texts if (code := language.partition("-")[0]) in known]
    if not asked:
        return None
    return round(sum(recognise(text) == code for text, code in asked) / len(asked), 4)


@cache
def _recogniser() -> tuple[Callable[[str], str], frozenset[str]]:
    """A function that returns a text's language, and the languages it supports."""
    try:
        identifier = language_recognition.recogniser()
    except ImportError as error:
        raise CorpusError("language recognition needs py3langid: pip install 'seqloom[pipeline]'") from error
    return lambda text: str(identifier.classify(text)[0]), frozenset(identifier.labels)
