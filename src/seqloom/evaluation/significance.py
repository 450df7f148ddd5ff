"""Test whether one system is significantly better than another on a test set, by paired bootstrap resampling.

P. Koehn: Statistical significance tests for machine translation evaluation, EMNLP 2004. Both systems are scored on the
same resamples of the test set. The p-value is computed as in sacreBLEU (`PairedTest` of type `bs`): it is the share of
resamples whose absolute difference exceeds the mean absolute difference by more than the measured difference. Clear
differences all have the same sign, so dropping it has no effect on them. Of two equal systems, the first is found
better at p < 0.05 about once in twenty times.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from seqloom.evaluation.metrics import middle_95
from seqloom.evaluation.scoring import count_metrics
from seqloom.evaluation.segments import Segments
from seqloom.evaluation.settings import EvaluateSettings


class Difference(NamedTuple):
    """The scores of two systems by one metric, and the significance of their difference."""

    ours: float
    theirs: float
    low: float  # `low` to `high` holds the middle 95% of the resampled differences ours - theirs
    high: float
    p: float  # probability of a difference this large between equal systems

    @property
    def gain(self) -> float:
        """The difference ours - theirs."""
        return self.ours - self.theirs


def compare(
    ours: Segments, theirs: Segments, metrics: Sequence[str], settings: EvaluateSettings
) -> dict[str, Difference]:
    """Compare two systems by the named metrics of `settings.METRICS`.

    If there are several directions, scores and resampled scores are unweighted means over them.

    Raises:
        ValueError: the test sets differ.
    """
    if (ours.sources, ours.references, ours.directions) != (theirs.sources, theirs.references, theirs.directions):
        raise ValueError("the two systems must have the same test set")
    found: dict[str, list[tuple[_Resampled, _Resampled]]] = {name: [] for name in metrics}
    for direction, rows in ours.rows().items():
        references = [ours.references[row] for row in rows]
        sides = []
        for system in (ours, theirs):
            counted = dict(
                count_metrics(metrics, [system.hypotheses[row] for row in rows], references, direction.target)
            )
            # The same seed and number of segments give the same resamples for both systems.
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
    # If both systems write the same, all differences are 0 and none is larger, which would give a tiny p-value.
    further = int(np.sum(strayed > abs(gain))) if drawn.any() or gain else len(drawn)
    low, high = middle_95(drawn.tolist())
    return Difference(ours.score, theirs.score, low, high, (further + 1) / (len(drawn) + 1))
