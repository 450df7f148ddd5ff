"""Counts of the features of many texts, and how far two such counts are apart.

The distance is the population stability index (Siddiqi 2006, Credit Risk Scorecards): the sum over all bins
of (p - q) ln(p / q). By the same source, above 0.1 a distribution has shifted a little, and above 0.25 a lot. Chance
alone gives about (bins - 1) (1/n + 1/m) for n and m texts (Yurdakul and Naranjo 2020), here at most 0.04.
"""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from seqloom.drift.features import EDGES, Extractor, Features
from seqloom.languages import Direction

PROFILE = "training_profile.json"
"""The file of a registered model folder with the counts of its training texts."""

MOST_TEXTS = 10_000
"""Training texts that are counted; of a larger corpus, every n-th."""

PER_BIN = 50
"""A feature with fewer texts, times the number of its bins, is not compared."""

_FORMAT = 1
_PRIOR = 0.5  # texts added to each bin, so that an empty one has no infinite weight


class Profile:
    """For each feature, the number of texts in each bin."""

    def __init__(self) -> None:
        self.counts: dict[str, list[int]] = {name: [0] * (len(edges) + 1) for name, edges in EDGES.items()}

    def add(self, features: Features, weight: int = 1) -> None:
        """Add a text, or remove one with `weight` -1."""
        for name, place in features._asdict().items():
            if place is not None:
                self.counts[name][place] += weight

    def index(self, reference: Self) -> dict[str, float]:
        """Return the population stability index of each feature of which both have enough texts."""
        return {
            name: stability_index(counts, reference.counts[name])
            for name, counts in self.counts.items()
            if min(sum(counts), sum(reference.counts[name])) >= PER_BIN * len(counts)
        }

    def record(self) -> dict[str, Any]:
        """Return the content of the file `PROFILE`."""
        return {"format": _FORMAT, "edges": {name: list(edges) for name, edges in EDGES.items()}, "counts": self.counts}

    @classmethod
    def of(cls, texts: Iterable[tuple[str, Direction]], extractor: Extractor) -> Self:
        """Count the features of texts."""
        profile = cls()
        for text, direction in texts:
            profile.add(extractor.features(text, direction))
        return profile

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Read the file `PROFILE`; return None if it does not exist, or was written with other bins."""
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            profile = cls()
            if {name: stored[name] for name in ("format", "edges")} != {
                name: profile.record()[name] for name in ("format", "edges")
            }:
                return None
            for name, counts in profile.counts.items():
                counts[:] = [int(count) for count in stored["counts"][name]]
                if len(counts) != len(EDGES[name]) + 1 or min(counts) < 0:
                    return None
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return profile


def stability_index(counts: Sequence[int], reference: Sequence[int]) -> float:
    """Return the population stability index of two counts over the same bins; 0 if their shares are equal."""
    shares = zip(_shares(counts), _shares(reference), strict=True)
    return sum((ours - theirs) * math.log(ours / theirs) for ours, theirs in shares)


def every_nth(texts: Iterable[tuple[str, Direction]], total: int) -> Iterator[tuple[str, Direction]]:
    """Yield at most about `MOST_TEXTS` of `total` texts, evenly spread."""
    step = max(1, -(-total // MOST_TEXTS))
    return (text for row, text in enumerate(texts) if row % step == 0)


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts) + _PRIOR * len(counts)
    return [(count + _PRIOR) / total for count in counts]
