"""What a search asks of a model: a function that reads one token per row and says how likely each next one is."""

from collections.abc import Callable
from typing import Protocol, Self, TypeVar

import torch
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


def not_probabilities(largest: Tensor) -> Tensor:
    """Where the largest log-probability of a row, (...), is NaN or above 0: such a row holds no probabilities."""
    return ~(largest <= _ROUNDING)


def refuse(broken: Tensor, sources: Tensor, position: int) -> None:
    """Raise `EvaluationError` if a row (A,) is `broken`; `sources` (A,) says which source each one is of."""
    if bool(broken.any()):
        source = int(sources[broken][0])
        raise EvaluationError(
            f"source {source} of the batch: the model gave no probabilities (NaN or above 1) for target token "
            f"{position + 1}; its weights are broken or its training diverged"
        )


def largest(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` largest of each row (rows, V), largest first, or all where V is smaller; and where they stand.

    On a CPU most of `topk` goes into reading the row. A large one is dealt to groups first: as the `count` largest lie
    in at most `count` groups, those with the largest maxima, the rest need not be ranked. NaN counts as the largest.
    """
    rows, width = values.shape
    groups = 1 << (int(max(count * width, 1)).bit_length() // 2)  # about sqrt(count * width): the least to be ranked
    if values.device.type != "cpu" or width < 16 * groups or groups < count:
        return values.topk(min(count, width), dim=1)
    size = width // groups
    maxima = values[:, : size * groups].view(rows, size, groups).amax(dim=1)  # column j is in group j % groups
    group = maxima.topk(count, dim=1, sorted=False).indices
    where = (group.unsqueeze(1) + torch.arange(0, size * groups, groups).unsqueeze(1)).flatten(1)
    where = torch.cat([where, torch.arange(size * groups, width).expand(rows, -1)], dim=1)  # what no group holds
    best, at = values.gather(1, where).topk(count, dim=1)
    return best, where.gather(1, at)
