"""One metric over one test set, counted once: its score, the score of any part, and how sure the score is.

A corpus score is a function of counts summed over segments; they are kept per segment, so that buckets, single segments
and resamples cost no second count. The metrics here are sacreBLEU's (Post 2018, arXiv 1804.08771); `rouge` has others.
sacreBLEU resamples too, but all resamples at once, which takes gigabytes for a test set of some ten thousand segments,
and it keeps only the half width; here they are drawn one by one, with the same generator, and give the same numbers.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from importlib.util import find_spec
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

Rows = NDArray[np.int64]

# 13a, sacreBLEU's default, splits at spaces and punctuation; these are written without spaces between words.
UNSPACED = ("ja", "km", "lo", "my", "th", "yue", "zh")


class Interval(NamedTuple):
    """The middle 95% of the resampled scores."""

    low: float
    high: float


class Counted(ABC):
    """A metric and its counts for each segment."""

    def __init__(self, counts: NDArray[np.float64]) -> None:
        self._counts = counts  # (segments, counts)

    def score(self, rows: Rows | None = None) -> float:
        """The corpus score, 0 to 100 (TER: from 0), of the segments `rows` (all of them if None)."""
        return self._score(self._counts if rows is None else self._counts[rows])

    def of_each(self) -> list[float]:
        """The score of every segment on its own."""
        return [self._score(counts[None]) for counts in self._counts]

    def resampled(self, resamples: int, seed: int) -> list[float]:
        """The scores of test sets of the same size, drawn with replacement from this one (Koehn 2004)."""
        self._note(resamples, seed)
        generator = np.random.default_rng(seed)
        segments = len(self._counts)
        return [self.score(generator.choice(segments, size=segments)) for _ in range(resamples)]

    def interval(self, resamples: int, seed: int) -> Interval:
        """The 95% bootstrap interval."""
        return middle(self.resampled(resamples, seed))

    def with_segments_of(self, others: Sequence[Self]) -> Self:
        """The same metric over the segments of this test set and of others, in that order."""
        whole = copy(self)
        whole._counts = np.concatenate([self._counts, *(other._counts for other in others)])
        return whole

    @abstractmethod
    def signature(self) -> str:
        """How it was counted, in one line: figures compare where it is the same."""

    @abstractmethod
    def _score(self, counts: NDArray[np.float64]) -> float:
        """The score of segments by their counts (segments, counts)."""

    @abstractmethod
    def _note(self, resamples: int, seed: int) -> None:
        """Keep what the interval was made with; it belongs to the signature."""


class CountedMetric(Counted):
    """A sacreBLEU metric and its counts for each segment."""

    def __init__(self, metric: Metric, hypotheses: Sequence[str], references: Sequence[str]) -> None:
        counts = metric._extract_corpus_statistics(hypotheses, [references])
        super().__init__(np.asarray(counts, dtype=np.float64))
        self._metric = metric

    def signature(self) -> str:
        """What sacreBLEU says about how it counted."""
        return str(self._metric.get_signature())

    def lengths(self) -> tuple[int, int]:
        """Tokens of all hypotheses and of all references. For BLEU, whose first two counts they are."""
        hypotheses, references = self._counts[:, :2].sum(axis=0)
        return int(hypotheses), int(references)

    def _score(self, counts: NDArray[np.float64]) -> float:
        return float(self._metric._compute_score_from_stats(counts.sum(axis=0).tolist()).score)

    def _note(self, resamples: int, seed: int) -> None:
        self._metric.n_bootstrap, self._metric.seed = resamples, str(seed)


def middle(scores: Sequence[float]) -> Interval:
    """The middle 95% of resampled scores."""
    outside = len(scores) // 40
    ordered = sorted(scores)
    return Interval(ordered[outside], ordered[-outside - 1])


def bleu(language: str) -> BLEU:
    """BLEU with the tokenizer that fits the target language; its signature names it."""
    return BLEU(tokenize=_tokenizer(base_language(language)), force=True)


def chrf() -> CHRF:
    """chrF2 (Popović 2015)."""
    return CHRF()


def ter(language: str) -> TER:
    """Translation edit rate (Snover et al. 2006); Chinese and Japanese by characters."""
    unspaced = base_language(language) in ("ja", "yue", "zh")
    return TER(normalized=unspaced, asian_support=unspaced)


def corpus_bleu(hypotheses: Sequence[str], references: Sequence[str], language: str) -> float:
    """BLEU alone, counted as the final scores count it."""
    return CountedMetric(bleu(language), hypotheses, references).score()


def base_language(language: str) -> str:
    """The language of a code that may name a region or a script: `zh` of `zh-Hans`."""
    return language.replace("_", "-").split("-")[0].lower()


def _tokenizer(language: str) -> str:
    if language in ("zh", "yue"):
        return "zh"
    if language == "ja" and find_spec("MeCab") and find_spec("ipadic"):
        return "ja-mecab"
    return "char" if language in UNSPACED else "13a"
