"""The interface between a search and a model: a function that reads one token per row and scores the next one."""

from collections.abc import Callable
from typing import Protocol, Self, TypeVar

from torch import Tensor

from seqloom.errors import EvaluationError

_ROUNDING = 1e-3  # how far above 0 a log-probability may lie through rounding


class SearchState(Protocol):
    """The state of a step function, with one row per hypothesis."""

    def select(self, rows: Tensor) -> Self:
        """Return the state of the given rows, (n,) or (A, K) int64; see `seqloom.models.seq2seq.State`."""


S = TypeVar("S", bound=SearchState)
StepFunction = Callable[[Tensor, S], tuple[Tensor, S]]
"""Reads one token per row, (rows,) int64; returns the log-probabilities (rows, V) of the next one, and the new state.

The search may modify the returned tensor in place.
"""


def is_broken(largest: Tensor) -> Tensor:
    """Return a mask (...) of the rows whose `largest` log-probability (...) is invalid: NaN or above 0."""
    return ~(largest <= _ROUNDING)


def raise_if_broken(broken: Tensor, sources: Tensor, position: int) -> None:
    """Raise `EvaluationError` if any row (A,) is `broken`; `sources` (A,) are the sources of the rows."""
    if bool(broken.any()):
        source = int(sources[broken][0])
        raise EvaluationError(
            f"source {source} of the batch: the model returned invalid probabilities (NaN or above 1) for target token "
            f"{position + 1}; its weights are broken or its training diverged"
        )
