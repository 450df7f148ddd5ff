"""Dropout (Srivastava et al. 2014) with a fast CPU implementation.

torch's CPU kernel draws one double per element on one thread, which takes a fifth of a training step of a small
Transformer. Here eight elements share one 64-bit draw, a byte each. The rate is therefore rounded to the nearest of
256 steps (0.1 becomes 26/256 = 0.1016), and the kept elements are scaled by the rounded rate. On a GPU, torch's kernel
is used.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_LOWEST = -(2**63)


def _scale(dropped: int) -> float:
    return 256 / (256 - dropped)


def _mask(x: Tensor, dropped: int) -> Tensor:
    """Return the factors, 0 or the scale, for elements like those of `x`."""
    draws = torch.empty((x.numel() + 7) // 8, dtype=torch.int64).random_(_LOWEST, None)
    # Done in place, the comparison yields bytes; a boolean result, and its conversion to float, take ten times as long.
    kept = draws.view(torch.uint8)[: x.numel()].view(x.shape).ge_(dropped)
    return kept.to(x.dtype).mul_(_scale(dropped))


class _ByteDropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dropped: int) -> Tensor:
        mask = _mask(x, dropped)
        ctx.save_for_backward(mask)
        return x * mask

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (mask,) = ctx.saved_tensors
        return gradients[0] * mask, None


class _ReluByteDropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dropped: int) -> Tensor:
        out = x.relu().mul_(_mask(x, dropped))
        ctx.scale = _scale(dropped)
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (out,) = ctx.saved_tensors  # positive exactly where x was positive and kept
        gradient: Tensor = torch.ops.aten.threshold_backward(gradients[0], out, 0)
        return gradient.mul_(ctx.scale), None


class Dropout(nn.Module):
    """In training, zero each element with probability `rate` and scale the others so that the mean is unchanged.

    Srivastava et al. 2014, section 10 (the variant that scales in training).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the shape of `x`."""
        if not self.training or self.rate == 0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.rate)
        dropped: Tensor = _ByteDropout.apply(x, self._dropped)  # type: ignore[no-untyped-call]
        return dropped

    @property
    def _dropped(self) -> int:
        """The rate in steps of 1/256."""
        return min(round(self.rate * 256), 255)

    def extra_repr(self) -> str:
        """Return the rate, for `print(model)`."""
        return f"rate={self.rate}"


class ReluDropout(Dropout):
    """ReLU, then dropout; on a CPU one operation that saves only its output for the backward pass."""

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the shape of `x`."""
        if not self.training or self.rate == 0 or x.device.type != "cpu":
            return super().forward(x.relu())
        dropped: Tensor = _ReluByteDropout.apply(x, self._dropped)  # type: ignore[no-untyped-call]
        return dropped
