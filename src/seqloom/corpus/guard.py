"""Data guard: compares counts and statistics of new data with those of earlier data, within bounds.

Both inputs are contents of metrics/corpus.json. A number that is missing in one of them is not compared: it results
from a changed setting, such as an additional rule, corpus or direction.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from seqloom.corpus.settings import GuardSettings
from seqloom.errors import CorpusError
from seqloom.files import flatten

_PLACEHOLDERS = "placeholders"  # the cleaning rule with a bound of its own
_DIGITS = 9  # decimals kept: 80% of 12 is 9.6, not 9.600000000000001


class Finding(NamedTuple):
    """A number before and now, with its bounds; None means no bound."""

    what: str
    now: float
    before: float
    low: float | None
    high: float | None

    @property
    def ok(self) -> bool:
        """Whether the number is within its bounds."""
        return (self.low is None or self.now >= self.low) and (self.high is None or self.now <= self.high)


def compare(now: Mapping[str, Any], before: Mapping[str, Any], settings: GuardSettings) -> list[Finding]:
    """Return a finding for every number that has a bound.

    Raises:
        CorpusError: one of the inputs is not valid content of metrics/corpus.json.
    """
    try:
        found = list(_findings(_numbers(now), _numbers(before), settings))
    except (KeyError, TypeError, ValueError) as error:
        raise CorpusError(f"metrics/corpus.json is not valid ({error}): run the stage prepare_corpus again") from error
    return [finding for finding in found if finding.low is not None or finding.high is not None]


def _findings(now: dict[str, float], before: dict[str, float], settings: GuardSettings) -> Iterator[Finding]:
    whole = settings.max_pairs_drop, settings.max_pairs_growth
    part = settings.max_split_drop, settings.max_split_growth
    yield _relative("kept", now, before, *whole)
    raw = _total(now, "raw."), _total(before, "raw.")
    for name in (name for name in now if name in before):
        match name.split("."):
            case ["raw", _]:
                yield _relative(name, now, before, *whole)
            case ["splits", _] | ["directions", _, _]:
                yield _relative(name, now, before, *part)
            case ["dropped", rule]:
                points = settings.max_placeholder_change if rule == _PLACEHOLDERS else settings.max_rule_change
                yield _absolute(f"{name} (share)", _share(now[name], raw[0]), _share(before[name], raw[1]), points)
            case ["lengths", "ratio"] | ["lengths", _, _, "mean"]:
                yield _relative(name, now, before, settings.max_length_change, settings.max_length_change)
            case ["language", _]:
                drop = settings.max_language_drop
                low = None if drop is None else round(before[name] - drop, _DIGITS)
                yield Finding(name, now[name], before[name], low, None)


def _relative(
    name: str, now: dict[str, float], before: dict[str, float], drop: float | None, growth: float | None
) -> Finding:
    low = None if drop is None else round(before[name] * (1 - drop), _DIGITS)
    high = None if growth is None else round(before[name] * (1 + growth), _DIGITS)
    return Finding(name, now[name], before[name], low, high)


def _absolute(name: str, now: float, before: float, points: float | None) -> Finding:
    low, high = (
        (None, None)
        if points is None
        else (max(0.0, round(before - points, _DIGITS)), min(1.0, round(before + points, _DIGITS)))
    )
    return Finding(name, now, before, low, high)


def _share(count: float, total: float) -> float:
    return count / total if total else 0.0


def _total(numbers: dict[str, float], prefix: str) -> float:
    return sum(number for name, number in numbers.items() if name.startswith(prefix))


def _numbers(tree: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a tree by their dotted names, in its order."""
    numbers = flatten(tree)
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{name} is {value!r}")
    return numbers
