"""Scores of pairs from the cross-entropies of models, and which pairs fall below a threshold.

- `quality` (Junczys-Dowmunt 2018, "Dual conditional cross-entropy filtering of noisy parallel corpora", equations 1 and
  2): exp(-(|F - B| + (F + B) / 2)), with the cross-entropies F of the target given the source and B of the source given
  the target, each per token. A pair scores high if both models find it likely, and agree. Without a backward model it
  is exp(-F).
- `domain` (the same paper, section 4.2, after Moore and Lewis 2010): exp(G - I), at most 1, with the cross-entropies I
  of a model of the domain and G of a model of all data.

The paper's models are equally strong. Those of a team need not be, so cross-entropies can be centred: each model's
median is subtracted before the models are compared, and the mean of both medians is added to the mean.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqloom.filtering.settings import ScoreSettings, Threshold

Numbers = NDArray[np.float64]


class Cut(NamedTuple):
    """The bound of a score: the lowest score that is kept, which differs by direction if a share is dropped."""

    least: dict[str, float]
    below: NDArray[np.bool_]  # (pairs,)


def scores(entropies: Mapping[str, Numbers], directions: NDArray[np.str_], *, centred: bool) -> dict[str, Numbers]:
    """Return the scores (pairs,) in [0, 1] by name, from the cross-entropies (pairs,) by role.

    Models are compared for each direction separately; `directions` (pairs,) has that of each pair.
    """
    found: dict[str, Numbers] = {}
    if "forward" in entropies:
        found["quality"] = np.empty(len(directions))
    if "in_domain" in entropies:
        found["domain"] = np.exp(np.minimum(_difference(entropies["general"], entropies["in_domain"]), 0.0))
    for direction in np.unique(directions) if "quality" in found else ():
        rows = directions == direction
        forward = entropies["forward"][rows]
        backward = entropies["backward"][rows] if "backward" in entropies else None
        found["quality"][rows] = _quality(forward, backward, centred=centred)
    return found


def _quality(forward: Numbers, backward: Numbers | None, *, centred: bool) -> Numbers:
    if backward is None:
        return np.exp(-forward)
    offset = (np.median(forward) - np.median(backward)) if centred else 0.0
    disagreement = np.abs(_difference(forward, backward) - offset)
    return np.exp(-(disagreement + (forward + backward) / 2))


def _difference(one: Numbers, other: Numbers) -> Numbers:
    """Return `one - other`, and 0 where both are infinite."""
    both = np.isinf(one) & np.isinf(other)
    return np.subtract(one, other, out=np.zeros_like(one), where=~both)


def cut(values: Numbers, directions: NDArray[np.str_], threshold: Threshold) -> Cut:
    """Return which pairs a score leaves out: a share of each direction, and never a pair without a direction."""
    least: dict[str, float] = {}
    below = np.zeros(len(values), np.bool_)
    for direction in np.unique(directions[directions != ""]):
        rows = np.flatnonzero(directions == direction)
        bound = threshold.least or 0.0
        if threshold.drop:
            number = int(threshold.drop * len(rows))
            order = rows[np.argsort(values[rows], kind="stable")]
            below[order[:number]] = True
            bound = max(bound, float(values[order[number]]))
        below[rows[values[rows] < (threshold.least or 0.0)]] = True
        least[str(direction)] = bound
    return Cut(least, below)


def cuts(found: Mapping[str, Numbers], directions: NDArray[np.str_], settings: ScoreSettings) -> dict[str, Cut]:
    """Return the bound of each score."""
    return {name: cut(values, directions, getattr(settings, name)) for name, values in found.items()}
