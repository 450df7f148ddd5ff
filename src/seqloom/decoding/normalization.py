"""How the length of a hypothesis counts in its score: log-probability / penalty(|Y|), where |Y| counts the EOS too.

A penalty is at least as large for a longer hypothesis as for a shorter one; the early end of beam search rests on it.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def wu(lengths: Tensor, alpha: float) -> Tensor:
    """((5 + |Y|) / 6) ** alpha (Wu et al. 2016, arXiv 1609.08144, equation 14)."""
    return ((5.0 + lengths) / 6.0) ** alpha


def average(lengths: Tensor, alpha: float) -> Tensor:
    """|Y| ** alpha: with alpha 1 the score is the mean log-probability of a token."""
    return lengths**alpha


PENALTIES: dict[str, Callable[[Tensor, float], Tensor]] = {"wu": wu, "average": average}


def length_penalties(normalization: str, alpha: float, longest: int, device: torch.device | str = "cpu") -> Tensor:
    """(longest + 1,) float64: the penalty of a hypothesis of 0, 1, .. `longest` ids and its EOS."""
    return PENALTIES[normalization](torch.arange(1, longest + 2, dtype=torch.float64, device=device), alpha)
