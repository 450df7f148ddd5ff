"""Attention with one head over all of the source, as Bahdanau et al. 2015 and Luong et al. 2015 score it.

Shapes: B batch, S source positions, T target positions that look, H width of queries, keys and memory.
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GlobalAttention(nn.Module, ABC):
    """Looks from each target position at all source positions; a subclass says how well two fit."""

    @abstractmethod
    def keys(self, memory_BSH: Tensor) -> Tensor:
        """What of the score depends on the source alone, (B, S, H): made once."""

    @abstractmethod
    def scores(self, query_BTH: Tensor, key_BSH: Tensor) -> Tensor:
        """How well each pair of positions fits, (B, T, S)."""

    def weights(self, query_BTH: Tensor, key_BSH: Tensor, mask: Tensor | None) -> Tensor:
        """(B, T, S) fp32: sums to one over the positions that `mask` (B, 1, 1, S) allows, zero elsewhere."""
        scores = self.scores(query_BTH, key_BSH).float()
        return (scores if mask is None else scores.masked_fill(~mask.squeeze(1), -torch.inf)).softmax(dim=-1)

    def forward(self, query_BTH: Tensor, key_BSH: Tensor, memory_BSH: Tensor, mask: Tensor | None) -> Tensor:
        """The mean of the memory by these weights, (B, T, H)."""
        return self.weights(query_BTH, key_BSH, mask).to(memory_BSH.dtype) @ memory_BSH


class DotAttention(GlobalAttention):
    """score(h_t, h_s) = h_t . h_s (Luong et al. 2015, equation 8)."""

    def keys(self, memory_BSH: Tensor) -> Tensor:
        """The memory itself."""
        return memory_BSH

    def scores(self, query_BTH: Tensor, key_BSH: Tensor) -> Tensor:
        """See `GlobalAttention.scores`."""
        return query_BTH @ key_BSH.mT

    def forward(self, query_BTH: Tensor, key_BSH: Tensor, memory_BSH: Tensor, mask: Tensor | None) -> Tensor:
        """See `GlobalAttention.forward`; through a fused kernel, whose memory grows with S + T and not with S x T."""
        query, key, memory = (each.unsqueeze(1) for each in (query_BTH, key_BSH, memory_BSH))
        return F.scaled_dot_product_attention(query, key, memory, attn_mask=mask, scale=1.0).squeeze(1)


class GeneralAttention(DotAttention):
    """score(h_t, h_s) = h_t . W h_s (Luong et al. 2015, equation 8)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.key = nn.Linear(width, width, bias=False)
        nn.init.xavier_uniform_(self.key.weight)

    def keys(self, memory_BSH: Tensor) -> Tensor:
        """W h_s."""
        keys: Tensor = self.key(memory_BSH)
        return keys


class AdditiveAttention(GlobalAttention):
    """score(h_t, h_s) = v . tanh(W h_t + U h_s) (Bahdanau et al. 2015, appendix A.1.2).

    The sums of all pairs are B x T x S x H numbers. They are made for a few target positions at a time, which on a CPU
    is twice as fast as all at once since they stay in the cache; and from `recompute_above` numbers on they are made
    once more in the backward pass, not kept.
    """

    chunk = 1 << 20  # numbers that are made at a time
    recompute_above = 1 << 25

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.vector = nn.Parameter(torch.empty(width).uniform_(-(width**-0.5), width**-0.5))
        for layer in (self.query, self.key):
            nn.init.xavier_uniform_(layer.weight)

    def keys(self, memory_BSH: Tensor) -> Tensor:
        """U h_s."""
        keys: Tensor = self.key(memory_BSH)
        return keys

    def scores(self, query_BTH: Tensor, key_BSH: Tensor) -> Tensor:
        """See `GlobalAttention.scores`."""
        projected_BTH = self.query(query_BTH)
        vector = self.vector.to(projected_BTH.dtype)
        numbers = key_BSH.numel()  # of one target position
        chunks = torch.split(projected_BTH, max(1, self.chunk // numbers), dim=1)
        keep = projected_BTH.shape[1] * numbers <= self.recompute_above
        score = _additive_scores if keep else _RecomputedScores.apply
        return torch.cat([score(each, key_BSH, vector) for each in chunks], dim=1)


def _additive_scores(projected_BTH: Tensor, key_BSH: Tensor, vector_H: Tensor) -> Tensor:
    return (projected_BTH.unsqueeze(2) + key_BSH.unsqueeze(1)).tanh() @ vector_H


class _RecomputedScores(torch.autograd.Function):
    # torch.utils.checkpoint does the same, and on its first call imports the compiler, which takes seconds.
    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        ctx.save_for_backward(*inputs)
        return _additive_scores(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        inputs = [each.detach().requires_grad_() for each in ctx.saved_tensors]
        with torch.enable_grad():
            scores = _additive_scores(*inputs)
        return torch.autograd.grad(scores, inputs, gradients[0])


def build_global_attention(name: str, width: int) -> GlobalAttention:
    """The attention of a name: additive, dot or general."""
    match name:
        case "additive":
            return AdditiveAttention(width)
        case "general":
            return GeneralAttention(width)
        case "dot":
            return DotAttention()
    raise ValueError(f"there is no attention {name!r}; valid are additive, dot and general")
