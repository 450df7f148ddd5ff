"""Length penalties: the score of a hypothesis is log-probability / penalty(|Y|), where |Y| includes EOS.

A penalty must not decrease with the length; the termination of beam search relies on it.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def wu(length: int, alpha: float) -> float:
    """((5 + |Y|) / 6) ** alpha (Wu et al. 2016, arXiv 1609.08144, equation 14)."""
    return float(((5.0 + length) / 6.0) ** alpha)


def average(length: int, alpha: float) -> float:
    """|Y| ** alpha: with alpha 1 the score is the mean log-probability of a token."""
    return float(length**alpha)


PENALTIES: dict[str, Callable[[int, float], float]] = {"wu": wu, "average": average}


def length_penalties(normalization: str, alpha: float, longest: int, device: torch.device | str = "cpu") -> Tensor:
    """Return the penalties (longest + 1,) float64 of hypotheses with 0, 1, .. `longest` ids and EOS."""
    # One by one: the power of a tensor may round an element differently depending on its position.
    penalties = [PENALTIES[normalization](length, alpha) for length in range(1, longest + 2)]
    return torch.tensor(penalties, dtype=torch.float64, device=device)
