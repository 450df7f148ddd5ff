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


class _ByteDropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dropped: int) -> Tensor:
        draws = torch.empty((x.numel() + 7) // 8, dtype=torch.int64).random_(_LOWEST, None)
        # In place, zeros and ones stay bytes; as a bool the same would take ten times as long, and so would its float.
        kept = draws.view(torch.uint8)[: x.numel()].view(x.shape).ge_(dropped)
        mask = kept.to(x.dtype).mul_(256 / (256 - dropped))
        ctx.save_for_backward(mask)
        return x * mask

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (mask,) = ctx.saved_tensors
        return gradients[0] * mask, None


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
        dropped: Tensor = _ByteDropout.apply(x, min(round(self.rate * 256), 255))  # type: ignore[no-untyped-call]
        return dropped

    def extra_repr(self) -> str:
        """What `print(model)` shows."""
        return f"rate={self.rate}"
