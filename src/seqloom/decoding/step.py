"""What a search asks of a model: a function that reads one token per row and says how likely each next one is."""

from collections.abc import Callable
from typing import Protocol, Self, TypeVar

from torch import Tensor

from seqloom.errors import EvaluationError

_ROUNDING = 1e-3  # how far above 0 a log-probability may lie through rounding


class SearchState(Protocol):
    """What a step function remembers; a row per hypothesis."""

    def select(self, rows: Tensor) -> Self:
        """Return the state of the given rows, int64, (n,) or (A, K); see `seqloom.models.seq2seq.State`."""


S = TypeVar("S", bound=SearchState)
StepFunction = Callable[[Tensor, S], tuple[Tensor, S]]
"""Reads one token per row, (rows,) int64; returns the log-probabilities of the next, (rows, V), and the new state.

The tensor it returns is the search's own from then on: constraints are written into it.
"""


def is_broken(largest: Tensor) -> Tensor:
    """Where the largest log-probability of a row, (...), is NaN or above 0: such a row holds no probabilities."""
    return ~(largest <= _ROUNDING)


def raise_if_broken(broken: Tensor, sources: Tensor, position: int) -> None:
    """Raise `EvaluationError` if a row (A,) is `broken`; `sources` (A,) says which source each one is of."""
    if bool(broken.any()):
        source = int(sources[broken][0])
        raise EvaluationError(
            f"source {source} of the batch: the model gave no probabilities (NaN or above 1) for target token "
            f"{position + 1}; its weights are broken or its training diverged"
        )
