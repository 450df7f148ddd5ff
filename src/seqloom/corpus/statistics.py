"""Statistics of the training split: lengths of texts, and the share of texts in the expected language.

Lengths cover every pair. Languages are recognised on a sample that depends only on the texts, not on their order.
Only texts of at least 40 bytes (about six words), without placeholders, are used: the recogniser misclassifies one in
five interface strings of one or two words, but only one in a hundred of these longer texts.
"""

import hashlib
import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from seqloom.corpus.splits import Split, read_split
from seqloom.errors import CorpusError
from seqloom.languages import Direction
from seqloom.text import PLACEHOLDER

_SAMPLE = 2000  # texts per side
_LEAST = 40  # bytes; shorter texts are not recognised reliably
_HEAD = 300  # characters given to the recogniser
_REPORT_EVERY = 1000  # pairs


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
        self._kept: list[tuple[int, str, str]] = []

    def offer(self, text: str, language: str) -> None:
        if len(text.encode()) < _LEAST:
            return
        key = -int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
        if len(self._kept) < _SAMPLE:
            heapq.heappush(self._kept, (key, text, language))
        elif key > self._kept[0][0]:
            heapq.heapreplace(self._kept, (key, text, language))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((text, language) for _, text, language in sorted(self._kept))


def measure(
    folder: Path, directions: Sequence[Direction], report: Callable[[int], None] = lambda done: None
) -> Statistics:
    """Return the statistics of the training split in a folder.

    Raises:
        CorpusError: the language recogniser py3langid is not installed.
    """
    by_name = {str(direction): direction for direction in directions}
    words: tuple[Counter[int], Counter[int]] = Counter(), Counter()
    characters: tuple[Counter[int], Counter[int]] = Counter(), Counter()
    samples, ratios, pairs = (_Sample(), _Sample()), 0.0, 0
    for pairs, pair in enumerate(read_split(folder / Split.train.file_name), 1):
        for side, text in enumerate((pair.source, pair.target)):
            words[side][text.count(" ") + 1] += 1
            characters[side][len(text)] += 1
            samples[side].offer(" ".join(PLACEHOLDER.sub(" ", text).split())[:_HEAD], by_name[pair.direction][side])
        ratios += len(pair.target) / len(pair.source)
        if pairs % _REPORT_EVERY == 0:
            report(pairs)
    shares = {side: _recognised(sample) for side, sample in zip(("source", "target"), samples, strict=True)}
    return Statistics(
        {side: _lengths(counts) for side, counts in zip(("source", "target"), words, strict=True)},
        {side: _lengths(counts) for side, counts in zip(("source", "target"), characters, strict=True)},
        round(ratios / pairs, 4),
        {side: share for side, share in shares.items() if share is not None},
    )


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
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        raise CorpusError("language recognition needs py3langid: pip install 'seqloom[pipeline]'") from error
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    return lambda text: str(identifier.classify(text)[0]), frozenset(identifier.labels)
