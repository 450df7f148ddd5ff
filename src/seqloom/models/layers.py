"""The layers of a Transformer. Each option is a class of its own, so that no `forward` has branches for options.

Shapes: B batch, S source tokens, T target tokens, D model width, N heads, H width of a head; in a search A
sources, K hypotheses of each.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqloom.models.attention import Attention
from seqloom.models.dropout import Dropout, ReluDropout
from seqloom.models.kv_cache import KeysValues
from seqloom.models.positions import Rotation
from seqloom.models.settings import TransformerArchitecture

EPSILON = 1e-5  # avoids division by zero in a norm; the default of nn.LayerNorm


class Residual(nn.Module, ABC):
    """The residual connection, norm and dropout around a sub-layer.

    `enter` and `leave` are separate methods so that a sub-layer can return more than its output.
    """

    def __init__(self, norm: nn.Module, dropout: float) -> None:
        super().__init__()
        self.norm = norm
        self.dropout = Dropout(dropout)

    @abstractmethod
    def enter(self, x: Tensor) -> Tensor:
        """Return the input of the sub-layer."""

    @abstractmethod
    def leave(self, x: Tensor, output: Tensor) -> Tensor:
        """Return `x` combined with the sub-layer's output."""


class PreNorm(Residual):
    """x + f(norm(x)) (Xiong et al. 2020, figure 1b), which is less sensitive to the warm-up than the original."""

    def enter(self, x: Tensor) -> Tensor:
        """See `Residual.enter`."""
        normed: Tensor = self.norm(x)
        return normed

    def leave(self, x: Tensor, output: Tensor) -> Tensor:
        """See `Residual.leave`."""
        total: Tensor = x + self.dropout(output)
        return total


class PostNorm(Residual):
    """norm(x + f(x)) (Vaswani et al. 2017, section 3.1)."""

    def enter(self, x: Tensor) -> Tensor:
        """See `Residual.enter`."""
        return x

    def leave(self, x: Tensor, output: Tensor) -> Tensor:
        """See `Residual.leave`."""
        normed: Tensor = self.norm(x + self.dropout(output))
        return normed


def build_norm(a: TransformerArchitecture) -> nn.Module:
    """Return a LayerNorm (Ba et al. 2016) or RMSNorm, which does not centre (Zhang and Sennrich 2019, equation 4)."""
    if a.norm == "layer_norm":
        return nn.LayerNorm(a.width, eps=EPSILON)
    return nn.RMSNorm(a.width, eps=EPSILON)


def build_residual(a: TransformerArchitecture) -> Residual:
    """Return the residual connection that `norm_order` selects."""
    return (PreNorm if a.norm_order == "pre" else PostNorm)(build_norm(a), a.dropout)


def build_final_norm(a: TransformerArchitecture) -> nn.Module:
    """Return what follows the whole stack: a norm, or the identity if each layer already normalises its sum."""
    return build_norm(a) if a.norm_order == "pre" else nn.Identity()


class FeedForward(nn.Sequential):
    """Two linear layers around an activation, the same at every position (Vaswani et al. 2017, section 3.3)."""

    def __init__(self, width: int, inner: int, activation: nn.Module, dropout: Dropout) -> None:
        first, second = nn.Linear(width, inner), nn.Linear(inner, width)
        for layer in (first, second):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        super().__init__(first, activation, dropout, second)


class GatedFeedForward(nn.Module):
    """SwiGLU: (swish(x W) * x V) W2, without biases (Shazeer 2020, equation 6).

    `inner` is the width between the layers. The paper takes 2/3 of the width of a layer without the gate, so that both
    have the same number of weights; here the caller has to do that.
    """

    def __init__(self, width: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.gate_value = nn.Linear(width, 2 * inner, bias=False)  # W above V
        self.output = nn.Linear(inner, width, bias=False)
        for matrix in (*self.gate_value.weight.chunk(2), self.output.weight):
            nn.init.xavier_uniform_(matrix)
        self.dropout = Dropout(dropout)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Map (B, T, D) to (B, T, D)."""
        gate, value = self.gate_value(x_BTD).chunk(2, dim=-1)
        out: Tensor = self.output(self.dropout(F.silu(gate) * value))
        return out


def build_feed_forward(a: TransformerArchitecture) -> nn.Module:
    """Return the feed-forward sub-layer that `activation` selects."""
    match a.activation:
        case "relu":
            return FeedForward(a.width, a.feed_forward, nn.Identity(), ReluDropout(a.dropout))
        case "gelu":
            return FeedForward(a.width, a.feed_forward, nn.GELU(), Dropout(a.dropout))
        case "swiglu":
            return GatedFeedForward(a.width, a.feed_forward, a.dropout)


class EncoderLayer(nn.Module):
    """Self-attention over the source, then feed-forward (Vaswani et al. 2017, section 3.1)."""

    def __init__(self, a: TransformerArchitecture) -> None:
        super().__init__()
        self.attention_residual = build_residual(a)
        self.attention = Attention(a.width, a.heads)
        self.feed_forward_residual = build_residual(a)
        self.feed_forward = build_feed_forward(a)

    def forward(self, x_BSD: Tensor, mask: Tensor | None, rotation: Rotation) -> Tensor:
        """Map (B, S, D) to (B, S, D)."""
        inner = self.attention_residual.enter(x_BSD)
        seen = self.attention(inner, *self.attention.keys_values(inner, rotation), mask=mask, rotation=rotation)
        x_BSD = self.attention_residual.leave(x_BSD, seen)
        inner = self.feed_forward_residual.enter(x_BSD)
        return self.feed_forward_residual.leave(x_BSD, self.feed_forward(inner))


class DecoderLayer(nn.Module):
    """Causal self-attention, attention over the source, then feed-forward (Vaswani et al. 2017, section 3.1)."""

    def __init__(self, a: TransformerArchitecture) -> None:
        super().__init__()
        self.self_residual = build_residual(a)
        self.self_attention = Attention(a.width, a.heads)
        self.cross_residual = build_residual(a)
        self.cross_attention = Attention(a.width, a.heads)
        self.feed_forward_residual = build_residual(a)
        self.feed_forward = build_feed_forward(a)

    def forward(self, x_BTD: Tensor, memory_BSD: Tensor, mask: Tensor | None, rotation: Rotation) -> Tensor:
        """Map a whole target (B, T, D) to (B, T, D); each position attends to those up to its own."""
        x_BTD, _ = self._look_back(x_BTD, rotation)
        return self._look_across(x_BTD, self.cross_attention.keys_values(memory_BSD), mask)

    def step(
        self,
        x_AKD: Tensor,
        memory: KeysValues,
        mask: Tensor | None,
        rotation: Rotation,
        past: KeysValues,
        visible: Tensor,
    ) -> tuple[Tensor, KeysValues]:
        """Run `forward` for the newest position of K hypotheses per source; return the output and the extended `past`.

        `memory` holds the keys and values of the sources, `past` those of all tokens that the hypotheses of a source
        have read. The mask `visible` selects the tokens, including the newest ones, that each hypothesis may attend to.
        """
        x_AKD, seen = self._look_back(x_AKD, rotation, past, visible)
        return self._look_across(x_AKD, memory, mask), seen

    def cross_weights(self, x_BTD: Tensor, memory_BSD: Tensor, mask: Tensor | None, rotation: Rotation) -> Tensor:
        """Return the attention weights (B, N, T, S), fp32, from target to source positions in `forward`."""
        x_BTD, _ = self._look_back(x_BTD, rotation)
        key_BNSH, _ = self.cross_attention.keys_values(memory_BSD)
        return self.cross_attention.weights(self.cross_residual.enter(x_BTD), key_BNSH, mask)

    def _look_back(
        self, x_BTD: Tensor, rotation: Rotation, past: KeysValues | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, KeysValues]:
        inner = self.self_residual.enter(x_BTD)
        key, value = self.self_attention.keys_values(inner, rotation)
        if past is not None:
            key, value = torch.cat((past[0], key), dim=2), torch.cat((past[1], value), dim=2)
        attended = self.self_attention(inner, key, value, mask=mask, causal=past is None, rotation=rotation)
        return self.self_residual.leave(x_BTD, attended), (key, value)

    def _look_across(self, x_BTD: Tensor, memory: KeysValues, mask: Tensor | None) -> Tensor:
        """Apply attention over the source and the feed-forward sub-layer."""
        inner = self.cross_residual.enter(x_BTD)
        x_BTD = self.cross_residual.leave(x_BTD, self.cross_attention(inner, *memory, mask=mask))
        inner = self.feed_forward_residual.enter(x_BTD)
        return self.feed_forward_residual.leave(x_BTD, self.feed_forward(inner))
