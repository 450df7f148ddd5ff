"""Where a token stands: the three ways in which a Transformer is told. Attention alone is blind to order.

A position is either added to the embedding of a token or rotated into the queries and keys of the self-attentions; each
class here does one of the two and leaves the other alone. None has a limit of length.

Shapes: B batch, T tokens, D model width, N heads, H width of a head, P = H / 2 pairs.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

Rotation = Callable[[Tensor], Tensor]
"""What happens to queries and keys, (B, N, T, H) to (B, N, T, H)."""

TABLE_ROWS = 1024  # of learned positions; the usual size (Gehring et al. 2017 and fairseq)


def no_rotation(x_BNTH: Tensor) -> Tensor:
    """Queries or keys as they are."""
    return x_BNTH


def _angles(first: int, count: int, width: int, device: torch.device) -> Tensor:
    """(count, width / 2) fp32: position p turns pair i by p / 10,000 ** (2i / width)."""
    position = torch.arange(first, first + count, dtype=torch.float32, device=device).unsqueeze(1)
    step = torch.arange(0, width, 2, dtype=torch.float32, device=device)
    return position * torch.exp(step * (-math.log(10_000.0) / width))


def sinusoidal_positions(first: int, count: int, width: int, like: Tensor) -> Tensor:
    """Positions `first .. first + count - 1` as (count, D) (Vaswani et al. 2017, section 3.5), for any length."""
    angle = _angles(first, count, width, like.device)
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1).to(like.dtype)


class Positions(nn.Module):
    """The positions of one side, from `first` on. This one tells nothing; each kind changes one of the two methods."""

    def add(self, x_BTD: Tensor, first: int) -> Tensor:
        """Embeddings (B, T, D) that know where they stand."""
        return x_BTD

    def rotation(self, first: int, count: int, device: torch.device) -> Rotation:
        """What makes the queries and keys of `count` positions know where they stand: made once, for all layers."""
        return no_rotation


class SinusoidalPositions(Positions):
    """Fixed waves, added (Vaswani et al. 2017, section 3.5)."""

    def add(self, x_BTD: Tensor, first: int) -> Tensor:
        """See `Positions.add`."""
        return x_BTD + sinusoidal_positions(first, x_BTD.shape[1], x_BTD.shape[2], x_BTD)


class LearnedPositions(Positions):
    """A table of vectors, added (Gehring et al. 2017, section 3.1; drawn as in section 3.5).

    The table has `TABLE_ROWS` rows, and every later position takes the last of them: beyond it the network goes on to
    see which tokens there are, and no longer in which order they stand.
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

    Their product then depends on how far apart the two stand, and on nothing else of where they stand. That means
    nothing between a source and a target, so attention across the two turns neither.
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
    """Positions by their name, for a network of this width."""
    match kind:
        case "sinusoidal":
            return SinusoidalPositions()
        case "learned":
            return LearnedPositions(width)
        case "rotary":
            return RotaryPositions(width // heads)
