"""A translated test set, and how many of its placeholders were kept."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqloom.languages import Direction
from seqloom.text import STANDARD_FORMS, Forms


class Segments(NamedTuple):
    """A translated test set: one source, reference, hypothesis and direction per segment.

    `forms` defines what counts as a placeholder.
    """

    sources: Sequence[str]
    references: Sequence[str]
    hypotheses: Sequence[str]
    directions: Sequence[Direction]
    forms: Forms = STANDARD_FORMS

    def rows(self) -> dict[Direction, NDArray[np.int64]]:
        """Return the indices of each direction's segments, with directions in order of first occurrence."""
        found: dict[Direction, list[int]] = {}
        for index, direction in enumerate(self.directions):
            found.setdefault(direction, []).append(index)
        return {direction: np.asarray(rows, dtype=np.int64) for direction, rows in found.items()}


class Placeholders(NamedTuple):
    """How many placeholders of the sources the hypotheses kept.

    `segments` is the number of sources with placeholders. `accuracy` is the share of those whose hypothesis has each
    placeholder at least as often; None if no source has any. `invented` is the number of hypotheses, over all segments,
    with a placeholder that their source does not have. `failures` are the indices of segments that lost one.
    """

    segments: int
    accuracy: float | None
    invented: int
    failures: list[int]


def kept_placeholders(segments: Segments) -> Placeholders:
    """Count the placeholders that were kept, lost and invented."""
    holding, invented, failures = 0, 0, []
    find = segments.forms.find
    for index, (source, hypothesis) in enumerate(zip(segments.sources, segments.hypotheses, strict=True)):
        wanted, given = Counter(find(source)), Counter(find(hypothesis))
        holding += bool(wanted)
        invented += bool(given.keys() - wanted.keys())
        if not wanted <= given:
            failures.append(index)
    return Placeholders(holding, 1 - len(failures) / holding if holding else None, invented, failures)


def lost_placeholders(source: str, hypothesis: str, forms: Forms) -> list[str]:
    """Return the placeholders of the source that are missing in the hypothesis, including repeats."""
    return list((Counter(forms.find(source)) - Counter(forms.find(hypothesis))).elements())
