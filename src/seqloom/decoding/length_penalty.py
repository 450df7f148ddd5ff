"""How the length of a hypothesis counts in its score: log-probability / penalty(|Y|), where |Y| counts the EOS too.

A penalty is at least as large for a longer hypothesis as for a shorter one; the early end of beam search rests on it.
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
    """(longest + 1,) float64: the penalty of a hypothesis of 0, 1, .. `longest` ids and its EOS."""
    # One by one: the power of a tensor may round an element by where it stands, that is, by what else is in the batch.
    penalties = [PENALTIES[normalization](length, alpha) for length in range(1, longest + 2)]
    return torch.tensor(penalties, dtype=torch.float64, device=device)
