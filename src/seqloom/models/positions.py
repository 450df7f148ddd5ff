"""Positional encodings of the Transformer: sinusoidal, learned and rotary.

Sinusoidal and learned positions are added to the embeddings; rotary ones rotate the queries and keys of self-attention.
None limits the length.

Shapes: B batch, T tokens, D model width, N heads, H width of a head, P = H / 2 pairs.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

Rotation = Callable[[Tensor], Tensor]
"""Maps queries or keys (B, N, T, H) to (B, N, T, H)."""

TABLE_ROWS = 1024  # of learned positions; the usual size (Gehring et al. 2017 and fairseq)


def no_rotation(x_BNTH: Tensor) -> Tensor:
    """Return queries or keys unchanged."""
    return x_BNTH


def _angles(first: int, count: int, width: int, device: torch.device) -> Tensor:
    """Return angles (count, width / 2), fp32: position p rotates pair i by p / 10,000 ** (2i / width)."""
    position = torch.arange(first, first + count, dtype=torch.float32, device=device).unsqueeze(1)
    step = torch.arange(0, width, 2, dtype=torch.float32, device=device)
    return position * torch.exp(step * (-math.log(10_000.0) / width))


def sinusoidal_positions(first: int, count: int, width: int, like: Tensor) -> Tensor:
    """Return the encodings (count, D) of positions from `first` on (Vaswani et al. 2017, section 3.5)."""
    angle = _angles(first, count, width, like.device)
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1).to(like.dtype)


class Positions(nn.Module):
    """The positional encoding of one side. Each subclass overrides one of the two methods; this one has no effect."""

    def add(self, x_BTD: Tensor, first: int) -> Tensor:
        """Return embeddings (B, T, D) with positions from `first` on added."""
        return x_BTD

    def rotation(self, first: int, count: int, device: torch.device) -> Rotation:
        """Return the rotation of the queries and keys at `count` positions from `first` on; all layers share it."""
        return no_rotation


class SinusoidalPositions(Positions):
    """Fixed sines and cosines, added to the embeddings (Vaswani et al. 2017, section 3.5)."""

    def add(self, x_BTD: Tensor, first: int) -> Tensor:
        """See `Positions.add`."""
        return x_BTD + sinusoidal_positions(first, x_BTD.shape[1], x_BTD.shape[2], x_BTD)


class LearnedPositions(Positions):
    """A table of learned vectors, added to the embeddings (Gehring et al. 2017, sections 3.1 and 3.5).

    The table has `TABLE_ROWS` rows, and every later position uses the last one: beyond it, the network sees the tokens
    but not their order.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(TABLE_ROWS, width)
        nn.init.normal_(self.table.weight, std=0.1)

    def add(self, x_BTD: Tensor, first: int) -> Tensor:
        """See `Positions.add`."""
        position = torch.arange(first, first + x_BTD.shape[1], device=x_BTD.device)
        positioned: Tensor = x_BTD + self.table(position.clamp(max=TABLE_ROWS - 1))
        return positioned


class RotaryPositions(Positions):
    """Queries and keys rotated by an angle that grows with the position (Su et al. 2021, section 3.2).

    Their product then depends on positions only through their distance. A distance between a source and a target
    position is meaningless, so cross-attention uses no rotation.
    """

    def __init__(self, head_width: int) -> None:
        super().__init__()
        self.head_width = head_width

    def rotation(self, first: int, count: int, device: torch.device) -> Rotation:
        """See `Positions.rotation`."""
        angle_TP = _angles(first, count, self.head_width, device)
        return partial(_rotate, cosine_TP=angle_TP.cos(), sine_TP=angle_TP.sin())


def _rotate(x_BNTH: Tensor, cosine_TP: Tensor, sine_TP: Tensor) -> Tensor:
    """Rotate the pairs (0, 1), (2, 3), ... of each head (Su et al. 2021, equation 34), computed in fp32."""
    even, odd = x_BNTH[..., 0::2], x_BNTH[..., 1::2]
    rotated = (even * cosine_TP - odd * sine_TP, even * sine_TP + odd * cosine_TP)
    return torch.stack(rotated, dim=-1).flatten(-2).to(x_BNTH.dtype)


def build_positions(kind: Literal["sinusoidal", "learned", "rotary"], width: int, heads: int) -> Positions:
    """Return the named kind of positions, for a network of the given width."""
    match kind:
        case "sinusoidal":
            return SinusoidalPositions()
        case "learned":
            return LearnedPositions(width)
        case "rotary":
            return RotaryPositions(width // heads)
