"""Whether one system is better than another on the same test set, or only luckier: paired bootstrap resampling.

P. Koehn: Statistical significance tests for machine translation evaluation, EMNLP 2004. Both systems are scored on the
same resamples of the test set; the p-value is counted as sacreBLEU counts it (its `PairedTest` of type `bs`), from how
often a resampled difference strays further from the mean one than the measured difference is large. Differences are
taken without their sign, but lie on one side of zero as soon as they are clear: of two equal systems the first is found
better at p < 0.05 about once in twenty times.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from seqloom.evaluation.metrics import middle
from seqloom.evaluation.scoring import count
from seqloom.evaluation.segments import Segments
from seqloom.evaluation.settings import EvaluateSettings


class Difference(NamedTuple):
    """A metric of two systems on one test set, and how sure their difference is."""

    ours: float
    theirs: float
    low: float  # the middle 95% of the resampled differences ours - theirs
    high: float
    p: float  # of a difference as large as this where there is none

    @property
    def gain(self) -> float:
        """Ours less theirs."""
        return self.ours - self.theirs


def compare(
    ours: Segments, theirs: Segments, metrics: Sequence[str], settings: EvaluateSettings
) -> dict[str, Difference]:
    """Compare two systems by the metrics of those names, from `settings.METRICS`.

    Where there are several directions, a score is the plain mean over them, and so is that of a resample.

    Raises:
        ValueError: the test sets are not the same one.
    """
    if (ours.sources, ours.references, ours.directions) != (theirs.sources, theirs.references, theirs.directions):
        raise ValueError("two systems compare on one test set only")
    found: dict[str, list[tuple[_Resampled, _Resampled]]] = {name: [] for name in metrics}
    for direction, rows in ours.rows().items():
        references = [ours.references[row] for row in rows]
        sides = []
        for system in (ours, theirs):
            counted = dict(count(metrics, [system.hypotheses[row] for row in rows], references, direction.target))
            # The same seed and the same number of segments: resample by resample, the same segments.
            sides.append({
                name: _Resampled(metric.score(), metric.resampled(settings.bootstrap, settings.seed))
                for name, metric in counted.items()
            })  # fmt: skip
        for name in metrics:
            found[name].append((sides[0][name], sides[1][name]))
    return {name: _difference(*map(_mean, zip(*parts, strict=True))) for name, parts in found.items()}


class _Resampled(NamedTuple):
    score: float
    drawn: Sequence[float]  # the scores of the resamples


def _mean(parts: Sequence[_Resampled]) -> _Resampled:
    return _Resampled(
        sum(part.score for part in parts) / len(parts), np.mean([part.drawn for part in parts], axis=0).tolist()
    )


def _difference(ours: _Resampled, theirs: _Resampled) -> Difference:
    drawn = np.asarray(ours.drawn) - np.asarray(theirs.drawn)
    strayed = np.abs(drawn) - np.abs(drawn).mean()
    gain = ours.score - theirs.score
    # Where both write the same, every difference is nothing and none strays further: that would count as sure.
    further = int(np.sum(strayed > abs(gain))) if drawn.any() or gain else len(drawn)
    low, high = middle(drawn.tolist())
    return Difference(ours.score, theirs.score, low, high, (further + 1) / (len(drawn) + 1))
