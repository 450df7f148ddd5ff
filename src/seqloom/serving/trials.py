"""How a new version is loaded and tried."""

import math
from collections.abc import Sequence

from seqloom.errors import ModelError
from seqloom.languages import Direction
from seqloom.translation.results import Result

TRIALS = ("OK", "The file {name} was not found.", "3 of 12", "Settings were saved. You can close this window now.")
"""Texts that a new version must translate before it is used. They also warm it up."""
LOW_PRIORITY = 5  # a third of the time of others on a busy core
"""The niceness of a process that loads a version while another one serves.

A thread of the server must not have it: it would hold the interpreter's lock for longer, and so delay all others.
"""


def check_trials(direction: Direction, results: Sequence[Sequence[Result]]) -> None:
    """Check the translations of `TRIALS`. Raises `ModelError` if the model does not work."""
    best = [found[0] for found in results]
    if not any(result.text.strip() for result in best):
        raise ModelError(f"{direction}: the model translates {len(best)} texts on trial into nothing")
    if not all(math.isfinite(result.score) for result in best):
        raise ModelError(f"{direction}: the model's probabilities are not numbers")
