"""Dropout (Srivastava et al. 2014), and why it is not `nn.Dropout` on a CPU.

The CPU kernel of torch draws one double per element, on one thread; in a small Transformer that is a fifth of a step.
Here eight elements share one 64-bit draw, a byte each, so that the rate is rounded to the next of 256 steps (0.1 is
26/256 = 0.1016) and what is kept is scaled by exactly what was dropped. On a GPU the kernel of torch is used.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_LOWEST = -(2**63)


def _scale(dropped: int) -> float:
    return 256 / (256 - dropped)


def _mask(x: Tensor, dropped: int) -> Tensor:
    """What elements like those of `x` are multiplied by."""
    draws = torch.empty((x.numel() + 7) // 8, dtype=torch.int64).random_(_LOWEST, None)
    # In place, zeros and ones stay bytes; as a bool the same would take ten times as long, and so would its float.
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
        (out,) = ctx.saved_tensors  # above zero where x was and was kept
        gradient: Tensor = torch.ops.aten.threshold_backward(gradients[0], out, 0)
        return gradient.mul_(ctx.scale), None


class Dropout(nn.Module):
    """Zero each element with probability `rate` in training, and scale the others so that the mean is kept.

    Srivastava et al. 2014, section 10, which scales in training, as everybody does now.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """The same shape as `x`."""
        if not self.training or self.rate == 0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.rate)
        dropped: Tensor = _ByteDropout.apply(x, self._dropped)  # type: ignore[no-untyped-call]
        return dropped

    @property
    def _dropped(self) -> int:
        """How many of 256 steps the rate is."""
        return min(round(self.rate * 256), 255)

    def extra_repr(self) -> str:
        """What `print(model)` shows."""
        return f"rate={self.rate}"


class ReluDropout(Dropout):
    """ReLU, then dropout: on a CPU one operation, which keeps what it gives and neither its input nor its mask."""

    def forward(self, x: Tensor) -> Tensor:
        """The same shape as `x`."""
        if not self.training or self.rate == 0 or x.device.type != "cpu":
            return super().forward(x.relu())
        dropped: Tensor = _ReluByteDropout.apply(x, self._dropped)  # type: ignore[no-untyped-call]
        return dropped
