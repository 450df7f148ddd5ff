"""Multi-head attention, as the Transformer uses it in three places. It knows no layer, no position and no cache.

Shapes: B batch, S positions that are looked at, T positions that look, D model width, N heads, H = D / N.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqloom.models.positions import Rotation, no_rotation

FEW_PAIRS = 128 * 128  # of positions, one that looks and one that is looked at


def source_mask(lengths: Tensor, width: int) -> Tensor | None:
    """(B, 1, 1, S), true where a source token stands; None where a batch on the CPU has no padding at all."""
    # Asking whether there is padding would make a GPU wait for its host; there the mask is always given.
    if lengths.device.type == "cpu" and int(lengths.min()) == width:
        return None
    return (torch.arange(width, device=lengths.device) < lengths.unsqueeze(1))[:, None, None, :]


def additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """What `mask` adds to scores: nothing where it is true, -inf elsewhere. For a mask that many layers share."""
    return torch.zeros_like(mask, dtype=dtype).masked_fill_(~mask, -torch.inf)


def attend(query_BNTH: Tensor, key_BNSH: Tensor, value_BNSH: Tensor, mask: Tensor | None, *, causal: bool) -> Tensor:
    """The means (B, N, T, H) of the values, weighed as Vaswani et al. 2017 do in equation 1.

    `mask` broadcasts to (B, N, T, S): true where may be looked, or numbers that are added to the scores.
    """
    pairs = query_BNTH.shape[2] * key_BNSH.shape[2]
    if query_BNTH.device.type == "cpu" and pairs <= FEW_PAIRS:
        return _by_products(query_BNTH, key_BNSH, value_BNSH, mask, causal)
    return F.scaled_dot_product_attention(query_BNTH, key_BNSH, value_BNSH, attn_mask=mask, is_causal=causal)


def _by_products(query_BNTH: Tensor, key_BNSH: Tensor, value_BNSH: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """`attend` as two products of all heads at once, which keeps all the weights.

    The fused kernel of a CPU is made for many positions: it works head by head. For sentences an update of a tiny
    Transformer took 15% longer through it on two threads, and a step of a search three times as long.
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

    Of long sequences it takes memory that grows with S + T and not with S x T, see `attend`.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.output = nn.Linear(width, width)
        # Glorot as if query, key and value were apart: the joint matrix would draw from a narrower range.
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
        """Keys and values (B, N, S, H) of the positions that can be looked at."""
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
        """Look from each position of `x_BTD` at keys that `mask` allows, or with `causal` at those up to its own."""
        query_BNTH = rotation(self._split(self.query(x_BTD)))
        seen_BNTH = attend(query_BNTH, key_BNSH, value_BNSH, mask, causal=causal)
        attended: Tensor = self.output(seen_BNTH.transpose(1, 2).flatten(2))
        return attended

    def weights(self, x_BTD: Tensor, key_BNSH: Tensor, mask: Tensor | None) -> Tensor:
        """How much each position looks at each other, (B, N, T, S) fp32: what `forward` weighs the values by.

        The fused kernels do not give it. Written out in full, so for pictures and not for training.
        """
        query_BNTH = self._split(self.query(x_BTD))
        scores_BNTS = (query_BNTH @ key_BNSH.mT).float() * query_BNTH.shape[-1] ** -0.5
        if mask is not None:
            scores_BNTS = scores_BNTS.masked_fill(~mask, -torch.inf)
        weights_BNTS: Tensor = scores_BNTS.softmax(dim=-1)
        return weights_BNTS
