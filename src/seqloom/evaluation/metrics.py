"""Metrics over a test set: the corpus score, the score of any subset of segments, and bootstrap resamples.

A corpus score is a function of counts summed over segments. The counts are kept per segment, so buckets, single
segments and resamples need no recount. The metrics here are sacreBLEU's (Post 2018, arXiv 1804.08771); `rouge` has
the others. sacreBLEU's own bootstrap draws all resamples at once, which takes gigabytes for some ten thousand segments,
and keeps only the half width of the interval. Here resamples are drawn one at a time, with the same random generator
and the same results.
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

# Languages written without spaces between words; sacreBLEU's default tokenizer, 13a, would not split their words.
UNSPACED = ("ja", "km", "lo", "my", "th", "yue", "zh")


class Interval(NamedTuple):
    """The middle 95% of the resampled scores."""

    low: float
    high: float


class Counted(ABC):
    """A metric with its counts for each segment."""

    def __init__(self, counts: NDArray[np.float64]) -> None:
        self._counts = counts  # (segments, counts)

    def score(self, rows: Rows | None = None) -> float:
        """Return the corpus score, 0 to 100 (TER: 0 and above), of the segments `rows`, or of all if None."""
        return self._score(self._counts if rows is None else self._counts[rows])

    def segment_scores(self) -> list[float]:
        """Return the score of each single segment."""
        return [self._score(counts[None]) for counts in self._counts]

    def resampled(self, resamples: int, seed: int) -> list[float]:
        """Return the scores of bootstrap resamples: test sets of the same size, drawn with replacement (Koehn 2004)."""
        self._record_bootstrap(resamples, seed)
        generator = np.random.default_rng(seed)
        segments = len(self._counts)
        return [self.score(generator.choice(segments, size=segments)) for _ in range(resamples)]

    def interval(self, resamples: int, seed: int) -> Interval:
        """Return the 95% bootstrap interval."""
        return middle_95(self.resampled(resamples, seed))

    def with_segments_of(self, others: Sequence[Self]) -> Self:
        """Return the same metric over the segments of this test set followed by those of others."""
        whole = copy(self)
        whole._counts = np.concatenate([self._counts, *(other._counts for other in others)])
        return whole

    @abstractmethod
    def signature(self) -> str:
        """Return the settings of the metric in one line. Scores are comparable only if their signatures are equal."""

    @abstractmethod
    def _score(self, counts: NDArray[np.float64]) -> float:
        """Return the corpus score from counts of shape (segments, counts)."""

    @abstractmethod
    def _record_bootstrap(self, resamples: int, seed: int) -> None:
        """Record the bootstrap settings, which are part of the signature."""


class CountedMetric(Counted):
    """A sacreBLEU metric with its counts for each segment."""

    def __init__(self, metric: Metric, hypotheses: Sequence[str], references: Sequence[str]) -> None:
        counts = metric._extract_corpus_statistics(hypotheses, [references])
        super().__init__(np.asarray(counts, dtype=np.float64))
        self._metric = metric

    def signature(self) -> str:
        """Return sacreBLEU's signature."""
        return str(self._metric.get_signature())

    def lengths(self) -> tuple[int, int]:
        """Return the number of tokens in all hypotheses and in all references; only for BLEU."""
        hypotheses, references = self._counts[:, :2].sum(axis=0)
        return int(hypotheses), int(references)

    def _score(self, counts: NDArray[np.float64]) -> float:
        return float(self._metric._compute_score_from_stats(counts.sum(axis=0).tolist()).score)

    def _record_bootstrap(self, resamples: int, seed: int) -> None:
        self._metric.n_bootstrap, self._metric.seed = resamples, str(seed)


def middle_95(scores: Sequence[float]) -> Interval:
    """Return the middle 95% of resampled scores."""
    outside = len(scores) // 40
    ordered = sorted(scores)
    return Interval(ordered[outside], ordered[-outside - 1])


def bleu(language: str) -> BLEU:
    """Return BLEU with the tokenizer for the target language; the signature names the tokenizer."""
    return BLEU(tokenize=_tokenizer(base_language(language)), force=True)


def chrf() -> CHRF:
    """Return chrF2 (Popović 2015)."""
    return CHRF()


def ter(language: str) -> TER:
    """Return the translation edit rate (Snover et al. 2006); on characters for Chinese and Japanese."""
    unspaced = base_language(language) in ("ja", "yue", "zh")
    return TER(normalized=unspaced, asian_support=unspaced)


def corpus_bleu(hypotheses: Sequence[str], references: Sequence[str], language: str) -> float:
    """Return corpus BLEU, computed as for the final scores."""
    return CountedMetric(bleu(language), hypotheses, references).score()


def base_language(language: str) -> str:
    """Return a language code without its region and script: `zh` for `zh-Hans`."""
    return language.replace("_", "-").split("-")[0].lower()


def _tokenizer(language: str) -> str:
    if language in ("zh", "yue"):
        return "zh"
    if language == "ja" and find_spec("MeCab") and find_spec("ipadic"):
        return "ja-mecab"
    return "char" if language in UNSPACED else "13a"
