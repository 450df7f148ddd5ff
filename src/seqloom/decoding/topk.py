"""Top-k selection over large vocabularies, faster on a CPU than `topk` over all values.

Shapes: A sources, K hypotheses of each, V vocabulary, G groups of the vocabulary.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Ranked(NamedTuple):
    """The n largest sums of each source, largest first; fewer than requested if there are fewer."""

    sums: Tensor  # (A, n) float64
    where: Tensor  # (A, n) int64: k * V + v for token v of hypothesis k; arbitrary for a sum of -inf
    highest: Tensor  # (A, K): the largest value of each hypothesis before the addition; NaN if it has one


def largest(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the `count` largest values of each row (rows, V), largest first, and their indices; all if V is smaller.

    The index of a value of -inf is arbitrary.
    """
    ranked = top_continuations(values.unsqueeze(1), count, values.new_zeros(len(values), 1, dtype=torch.float64))
    return ranked.sums, ranked.where


def top_continuations(values: Tensor, count: int, before: Tensor) -> Ranked:
    """Rank `values` (A, K, V) plus `before` (A, K) float64. NaN counts as the largest.

    On a CPU, `topk` is slow for many values. So a large vocabulary is divided into groups first: the `count` largest
    values lie in the `count` groups with the largest maxima, and only those groups are ranked.
    """
    sources, beams, width = values.shape
    groups = 1 << ((count * width // beams).bit_length() // 2)  # about the square root, which minimises the work
    if values.device.type != "cpu" or width < 16 * groups or beams * groups < count:
        best, token = values.topk(min(count, width), dim=2)
        sums = (best.double() + before.unsqueeze(2)).flatten(1)
        rank = sums.topk(min(count, sums.shape[1]), dim=1)
        where = (torch.arange(0, beams * width, width, device=values.device).view(1, beams, 1) + token).flatten(1)
        return Ranked(rank.values, where.gather(1, rank.indices), best[:, :, 0])
    full = width // groups * groups
    maxima = values[:, :, :full].view(sources, beams, -1, groups).amax(dim=2)  # token v is in group v % G
    begun = maxima[:, :, : width - full]
    torch.maximum(begun, values[:, :, full:], out=begun)
    chosen = (maxima.double() + before.unsqueeze(2)).flatten(1).topk(count, dim=1, sorted=False).indices
    beam = chosen // groups
    token = (chosen % groups).unsqueeze(2) + torch.arange(0, width, groups, device=values.device)
    where = (beam.unsqueeze(2) * width + token.clamp(max=width - 1)).flatten(1)
    sums = values.flatten(1).gather(1, where).double().view_as(token) + before.gather(1, beam).unsqueeze(2)
    rank = sums.masked_fill_(token >= width, -torch.inf).flatten(1).topk(count, dim=1)
    return Ranked(rank.values, where.gather(1, rank.indices), maxima.amax(dim=2))
