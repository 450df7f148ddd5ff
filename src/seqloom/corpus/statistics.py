"""What the training split looks like: how long its texts are, and whether they are in the languages they should be in.

Lengths are of every pair; languages are of a sample that depends on the texts alone, not on their order. A recogniser
needs text: of interface strings of one or two words it takes every fifth for some other of its 140 languages, of those
from 40 bytes on (about six words) one in a hundred. So only those are asked about, placeholders left out.
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

_SAMPLE = 2000  # texts of each side whose language is recognised
_LEAST = 40  # bytes of such a text
_HEAD = 300  # characters of it that are looked at
_TELL_EVERY = 1000  # pairs


class Lengths(NamedTuple):
    """Lengths of texts, in words or characters: the mean, the median, and what one in twenty exceeds."""

    mean: float
    p50: int
    p95: int


class Statistics(NamedTuple):
    """Of the training split. `ratio` is the mean of target over source, in characters.

    `languages` is the share of sampled texts that are in the language they should be in, by side; a side is not there
    where no text is long enough or the recogniser does not know its language.
    """

    words: dict[str, Lengths]
    characters: dict[str, Lengths]
    ratio: float
    languages: dict[str, float]

    def record(self) -> dict[str, Any]:
        """Return the statistics as metrics/corpus.json holds them."""
        units = {"words": self.words, "characters": self.characters}
        lengths = {
            side: {unit: found[side]._asdict() for unit, found in units.items()} for side in ("source", "target")
        }
        return {"lengths": {**lengths, "ratio": self.ratio}, "language": self.languages}


class _Sample:
    """Texts of the smallest hashes: the same ones in whatever order they come."""

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
    folder: Path, directions: Sequence[Direction], tell: Callable[[int], None] = lambda done: None
) -> Statistics:
    """Read the training split of a folder and describe it.

    Raises:
        CorpusError: py3langid, which recognises languages, is not installed.
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
        if pairs % _TELL_EVERY == 0:
            tell(pairs)
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
    """The smallest length that at least so many per cent of the texts do not exceed."""
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
    """A function from a text to its language, and the languages that it knows."""
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        raise CorpusError("to recognise languages install py3langid: pip install 'seqloom[pipeline]'") from error
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    return lambda text: str(identifier.classify(text)[0]), frozenset(identifier.labels)
