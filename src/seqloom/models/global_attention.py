"""Single-head attention over the whole source, with the scores of Bahdanau et al. 2015 and Luong et al. 2015.

Shapes: B batch, S source positions, T target positions, H width of queries, keys and memory.
"""

import threading
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqloom.models.settings import Score


class GlobalAttention(nn.Module, ABC):
    """Attention from each target position to all source positions; a subclass defines the score."""

    @abstractmethod
    def keys(self, memory_BSH: Tensor) -> Tensor:
        """Return the part of the score that depends only on the source, (B, S, H), computed once per source."""

    @abstractmethod
    def scores(self, query_BTH: Tensor, key_BSH: Tensor) -> Tensor:
        """Return the score of each pair of positions, (B, T, S)."""

    def weights(self, query_BTH: Tensor, key_BSH: Tensor, mask: Tensor | None) -> Tensor:
        """Return weights (B, T, S), fp32, that sum to one over the positions that `mask` (B, 1, 1, S) allows."""
        scores = self.scores(query_BTH, key_BSH).float()
        return (scores if mask is None else scores.masked_fill(~mask.squeeze(1), -torch.inf)).softmax(dim=-1)

    def forward(self, query_BTH: Tensor, key_BSH: Tensor, memory_BSH: Tensor, mask: Tensor | None) -> Tensor:
        """Return the mean of the memory, weighted by `weights`, (B, T, H)."""
        return self.weights(query_BTH, key_BSH, mask).to(memory_BSH.dtype) @ memory_BSH


class DotAttention(GlobalAttention):
    """score(h_t, h_s) = h_t . h_s (Luong et al. 2015, equation 8)."""

    def keys(self, memory_BSH: Tensor) -> Tensor:
        """Return the memory itself."""
        return memory_BSH

    def scores(self, query_BTH: Tensor, key_BSH: Tensor) -> Tensor:
        """See `GlobalAttention.scores`."""
        return query_BTH @ key_BSH.mT

    def forward(self, query_BTH: Tensor, key_BSH: Tensor, memory_BSH: Tensor, mask: Tensor | None) -> Tensor:
        """See `GlobalAttention.forward`. The fused kernel's memory grows with S + T and not with S x T."""
        query, key, memory = (each.unsqueeze(1) for each in (query_BTH, key_BSH, memory_BSH))
        return F.scaled_dot_product_attention(query, key, memory, attn_mask=mask, scale=1.0).squeeze(1)


class GeneralAttention(DotAttention):
    """score(h_t, h_s) = h_t . W h_s (Luong et al. 2015, equation 8)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.key = nn.Linear(width, width, bias=False)
        nn.init.xavier_uniform_(self.key.weight)

    def keys(self, memory_BSH: Tensor) -> Tensor:
        """Return W h_s."""
        keys: Tensor = self.key(memory_BSH)
        return keys


class AdditiveAttention(GlobalAttention):
    """score(h_t, h_s) = v . tanh(W h_t + U h_s) (Bahdanau et al. 2015, appendix A.1.2).

    The sums of all pairs are B x T x S x H numbers. They are computed for a few target positions at a time, which on a
    CPU is twice as fast as all at once, because they stay in the cache. If there are more than `recompute_above`, they
    are recomputed in the backward pass instead of stored.
    """

    chunk = 1 << 20  # numbers computed at a time
    recompute_above = 1 << 25

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.vector = nn.Parameter(torch.empty(width).uniform_(-(width**-0.5), width**-0.5))
        for layer in (self.query, self.key):
            nn.init.xavier_uniform_(layer.weight)

    def keys(self, memory_BSH: Tensor) -> Tensor:
        """Return U h_s."""
        keys: Tensor = self.key(memory_BSH)
        return keys

    def scores(self, query_BTH: Tensor, key_BSH: Tensor) -> Tensor:
        """See `GlobalAttention.scores`."""
        projected_BTH = self.query(query_BTH)
        vector_H = self.vector.to(projected_BTH.dtype)
        batch, source, width = key_BSH.shape
        positions = max(1, self.chunk // key_BSH.numel())
        # A search reads one position at a time, so assume that the target is as long as the source.
        numbers = batch * max(source, query_BTH.shape[1]) * source * width
        if numbers > self.recompute_above:
            scores: Tensor = _LongScores.apply(projected_BTH, key_BSH, vector_H, positions)  # type: ignore[no-untyped-call]
            return scores
        chunks = torch.split(projected_BTH, positions, dim=1)
        return torch.cat([(each.unsqueeze(2) + key_BSH.unsqueeze(1)).tanh_() @ vector_H for each in chunks], dim=1)


class _LongScores(torch.autograd.Function):
    """Additive scores, computed `positions` at a time and recomputed in the backward pass."""

    @staticmethod
    def forward(ctx: Any, query_BTH: Tensor, key_BSH: Tensor, vector_H: Tensor, positions: int) -> Tensor:
        ctx.save_for_backward(query_BTH, key_BSH, vector_H)
        ctx.positions = positions
        scores_BTS = query_BTH.new_empty(*query_BTH.shape[:2], key_BSH.shape[1])
        parts = (torch.split(each, positions, dim=1) for each in (query_BTH, scores_BTS))
        for query, scores in zip(*parts, strict=True):
            scores.copy_(_tanh_of_sums(query, key_BSH) @ vector_H)
        return scores_BTS

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query_BTH, key_BSH, vector_H = ctx.saved_tensors
        for_query = torch.empty_like(query_BTH)
        for_key, for_vector = (torch.zeros_like(each, dtype=torch.float32) for each in (key_BSH, vector_H))
        parts = (torch.split(each, ctx.positions, dim=1) for each in (query_BTH, gradients[0], for_query))
        for query, gradient, out in zip(*parts, strict=True):
            tanh = _tanh_of_sums(query, key_BSH)
            for_vector += torch.mv(tanh.flatten(0, 2).T, gradient.flatten())
            sums = tanh.square_().neg_().add_(1).mul_(gradient.unsqueeze(3))  # gradient, not yet times the vector
            torch.sum(sums, dim=2, out=out)
            for_key += sums.sum(dim=1)
        dtype = key_BSH.dtype
        return for_query * vector_H, (for_key * vector_H).to(dtype), for_vector.to(dtype), None


_room = threading.local()


def _tanh_of_sums(query_BTH: Tensor, key_BSH: Tensor) -> Tensor:
    """Return tanh(query + key) of all pairs, (B, T, S, H), in a buffer that the next call in this thread overwrites.

    Allocating it anew each time would fragment the heap: most C allocators could not reuse the space between small
    tensors that stay alive, and thousands of positions would take thousands of times the memory of one.
    """
    numbers = query_BTH.shape[1] * key_BSH.numel()
    held: Tensor | None = getattr(_room, "held", None)
    if held is None or held.numel() < numbers or held.dtype != key_BSH.dtype or held.device != key_BSH.device:
        with torch.inference_mode(False):  # an inference tensor could not be used in training later
            held = _room.held = torch.empty(numbers, dtype=key_BSH.dtype, device=key_BSH.device)
    batch, source, width = key_BSH.shape
    out = held[:numbers].view(batch, query_BTH.shape[1], source, width)
    return torch.add(query_BTH.unsqueeze(2), key_BSH.unsqueeze(1), out=out).tanh_()


def build_global_attention(score: Score, width: int) -> GlobalAttention:
    """Return the attention with the named score, for states of the given width."""
    match score:
        case "additive":
            return AdditiveAttention(width)
        case "general":
            return GeneralAttention(width)
        case "dot":
            return DotAttention()
