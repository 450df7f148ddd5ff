"""A translated test set, and what became of the placeholders in it. It knows no score."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqloom.languages import Direction
from seqloom.text import STANDARD_FORMS, Forms


class Segments(NamedTuple):
    """The test set and what the model made of it: three texts and a direction per segment, in one order.

    `forms` says what counts as a placeholder.
    """

    sources: Sequence[str]
    references: Sequence[str]
    hypotheses: Sequence[str]
    directions: Sequence[Direction]
    forms: Forms = STANDARD_FORMS

    def rows(self) -> dict[Direction, NDArray[np.int64]]:
        """The indices of the segments of each direction, in the order in which directions are met first."""
        found: dict[Direction, list[int]] = {}
        for index, direction in enumerate(self.directions):
            found.setdefault(direction, []).append(index)
        return {direction: np.asarray(rows, dtype=np.int64) for direction, rows in found.items()}


class Placeholders(NamedTuple):
    """What became of the placeholders of the sources.

    `accuracy` is the share of the segments with a placeholder in the source (`segments` of them) whose hypothesis holds
    each one at least as often; None where no source has any. `invented` counts hypotheses, of all segments, that hold
    one which their source has not. `failures` are the indices of the segments that lost one.
    """

    segments: int
    accuracy: float | None
    invented: int
    failures: list[int]


def kept_placeholders(segments: Segments) -> Placeholders:
    """Count what became of the placeholders."""
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
    """The placeholders of the source that the hypothesis lacks, each as often as it lacks them."""
    return list((Counter(forms.find(source)) - Counter(forms.find(hypothesis))).elements())
