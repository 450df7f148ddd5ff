"""One metric over one test set, counted once: its score, the score of any part, and how sure the score is.

The metrics are sacreBLEU's (Post 2018, arXiv 1804.08771). A corpus score is a function of counts summed over segments;
they are kept per segment, so that buckets, single segments and resamples cost no second count. sacreBLEU resamples
too, but all resamples at once, which takes gigabytes for a test set of some ten thousand segments, and it keeps only
the half width; here they are drawn one by one, with the same generator, and give the same numbers.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

Rows = NDArray[np.int64]

# 13a, sacreBLEU's default, splits at spaces and punctuation; these are written without spaces between words.
_UNSPACED = ("ja", "km", "lo", "my", "th", "yue", "zh")


class Interval(NamedTuple):
    """The middle 95% of the resampled scores."""

    low: float
    high: float


class CountedMetric:
    """A sacreBLEU metric and its counts for each segment."""

    def __init__(self, metric: Metric, hypotheses: Sequence[str], references: Sequence[str]) -> None:
        self._metric = metric
        counts = metric._extract_corpus_statistics(hypotheses, [references])
        self._counts = np.asarray(counts, dtype=np.float64)  # (segments, counts)

    def score(self, rows: Rows | None = None) -> float:
        """The corpus score, 0 to 100 (TER: from 0), of the segments `rows` (all of them if None)."""
        return self._score(self._counts if rows is None else self._counts[rows])

    def of_each(self) -> list[float]:
        """The score of every segment on its own."""
        return [self._score(counts[None]) for counts in self._counts]

    def interval(self, resamples: int, seed: int) -> Interval:
        """The 95% bootstrap interval (Koehn 2004): test sets of the same size drawn with replacement from this one."""
        generator = np.random.default_rng(seed)
        segments = len(self._counts)
        drawn = [self.score(generator.choice(segments, size=segments)) for _ in range(resamples)]
        self._metric.n_bootstrap, self._metric.seed = resamples, str(seed)  # they belong to the signature
        outside = resamples // 40
        ordered = sorted(drawn)
        return Interval(ordered[outside], ordered[-outside - 1])

    def signature(self) -> str:
        """What sacreBLEU says about how it counted."""
        return str(self._metric.get_signature())

    def lengths(self) -> tuple[int, int]:
        """Tokens of all hypotheses and of all references. For BLEU, whose first two counts they are."""
        hypotheses, references = self._counts[:, :2].sum(axis=0)
        return int(hypotheses), int(references)

    def _score(self, counts: NDArray[np.float64]) -> float:
        return float(self._metric._compute_score_from_stats(counts.sum(axis=0).tolist()).score)


def bleu(language: str) -> BLEU:
    """BLEU with the tokenizer that fits the target language; its signature names it."""
    return BLEU(tokenize=_tokenizer(_base(language)), force=True)


def chrf() -> CHRF:
    """chrF2 (Popović 2015)."""
    return CHRF()


def ter(language: str) -> TER:
    """Translation edit rate (Snover et al. 2006); Chinese and Japanese by characters."""
    unspaced = _base(language) in ("ja", "yue", "zh")
    return TER(normalized=unspaced, asian_support=unspaced)


def corpus_bleu(hypotheses: Sequence[str], references: Sequence[str], language: str) -> float:
    """BLEU alone, counted as the final scores count it."""
    return CountedMetric(bleu(language), hypotheses, references).score()


def _base(language: str) -> str:
    return language.replace("_", "-").split("-")[0].lower()


def _tokenizer(language: str) -> str:
    if language in ("zh", "yue"):
        return "zh"
    if language == "ja" and find_spec("MeCab") and find_spec("ipadic"):
        return "ja-mecab"
    return "char" if language in _UNSPACED else "13a"
