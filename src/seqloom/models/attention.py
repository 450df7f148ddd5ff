"""Multi-head attention, which the Transformer uses in three places.

Shapes: B batch, S key positions, T query positions, D model width, N heads, H = D / N.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqloom.models.positions import Rotation, no_rotation

FEW_PAIRS = 128 * 128  # of query and key positions


def source_mask(lengths: Tensor, width: int) -> Tensor | None:
    """Return a mask (B, 1, 1, S) that is true at source tokens, or None if a batch on the CPU has no padding."""
    # On a GPU the mask is always given: checking for padding would synchronise with the host.
    if lengths.device.type == "cpu" and int(lengths.min()) == width:
        return None
    return (torch.arange(width, device=lengths.device) < lengths.unsqueeze(1))[:, None, None, :]


def additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return `mask` as numbers to add to scores: 0 where it is true, -inf elsewhere. For a mask that layers share."""
    return torch.zeros_like(mask, dtype=dtype).masked_fill_(~mask, -torch.inf)


def attend(query_BNTH: Tensor, key_BNSH: Tensor, value_BNSH: Tensor, mask: Tensor | None, *, causal: bool) -> Tensor:
    """Return scaled dot-product attention (B, N, T, H) (Vaswani et al. 2017, equation 1).

    `mask` broadcasts to (B, N, T, S): either booleans, true where attention is allowed, or numbers that are added to
    the scores.
    """
    pairs = query_BNTH.shape[2] * key_BNSH.shape[2]
    if query_BNTH.device.type == "cpu" and pairs <= FEW_PAIRS:
        return _by_products(query_BNTH, key_BNSH, value_BNSH, mask, causal)
    return F.scaled_dot_product_attention(query_BNTH, key_BNSH, value_BNSH, attn_mask=mask, is_causal=causal)


def _by_products(query_BNTH: Tensor, key_BNSH: Tensor, value_BNSH: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """Compute `attend` with two batched matrix products, which hold all weights in memory.

    The fused CPU kernel is made for many positions and works head by head. For sentences, an update of a tiny
    Transformer took 15% longer with it on two threads, and a search step three times as long.
    """
    query, key, value = (each.flatten(0, 1) for each in (query_BNTH, key_BNSH, value_BNSH))
    scores = torch.bmm(query, key.mT).mul_(query.shape[-1] ** -0.5).view(*query_BNTH.shape[:3], -1)
    if causal:
        scores = scores + scores.new_full(scores.shape[2:], -torch.inf).triu_(1)
    if mask is not None:
        scores = scores + (additive(mask, scores.dtype) if mask.dtype == torch.bool else mask)
    weights = scores.softmax(dim=-1).to(value.dtype).flatten(0, 1)
    return torch.bmm(weights, value).view(query_BNTH.shape)


class Attention(nn.Module):
    """Multi-head scaled dot-product attention (Vaswani et al. 2017, section 3.2).

    For long sequences the memory grows with S + T and not with S x T, see `attend`.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.output = nn.Linear(width, width)
        # Glorot for query, key and value separately: the joint matrix would draw from a narrower range.
        nn.init.xavier_uniform_(self.query.weight)
        for matrix in self.key_value.weight.chunk(2):
            nn.init.xavier_uniform_(matrix)
        nn.init.xavier_uniform_(self.output.weight)
        for layer in (self.query, self.key_value, self.output):
            nn.init.zeros_(layer.bias)

    def _split(self, x_BTD: Tensor) -> Tensor:
        batch, length, width = x_BTD.shape
        return x_BTD.view(batch, length, self.heads, width // self.heads).transpose(1, 2)

    def keys_values(self, x_BSD: Tensor, rotation: Rotation = no_rotation) -> tuple[Tensor, Tensor]:
        """Return the keys and values (B, N, S, H) of the positions that can be attended to."""
        key_BSD, value_BSD = self.key_value(x_BSD).chunk(2, dim=-1)
        return rotation(self._split(key_BSD)), self._split(value_BSD)

    def forward(
        self,
        x_BTD: Tensor,
        key_BNSH: Tensor,
        value_BNSH: Tensor,
        *,
        mask: Tensor | None = None,
        causal: bool = False,
        rotation: Rotation = no_rotation,
    ) -> Tensor:
        """Attend from each position of `x_BTD` to the keys that `mask` allows; with `causal`, only up to its own."""
        query_BNTH = rotation(self._split(self.query(x_BTD)))
        seen_BNTH = attend(query_BNTH, key_BNSH, value_BNSH, mask, causal=causal)
        attended: Tensor = self.output(seen_BNTH.transpose(1, 2).flatten(2))
        return attended

    def weights(self, x_BTD: Tensor, key_BNSH: Tensor, mask: Tensor | None) -> Tensor:
        """Return the attention weights (B, N, T, S), fp32, by which `forward` averages the values.

        The fused kernels do not return them. They are held in full, so use this for plots, not for training.
        """
        query_BNTH = self._split(self.query(x_BTD))
        scores_BNTS = (query_BNTH @ key_BNSH.mT).float() * query_BNTH.shape[-1] ** -0.5
        if mask is not None:
            scores_BNTS = scores_BNTS.masked_fill(~mask, -torch.inf)
        weights_BNTS: Tensor = scores_BNTS.softmax(dim=-1)
        return weights_BNTS
