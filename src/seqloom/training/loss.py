"""The output layer and label-smoothed cross-entropy as one operation that never holds the logits of a batch.

Half of the work of a small model is its output layer, and the logits of a batch (tokens x vocabulary) are by far its
largest tensor. Here they are made a few hundred rows at a time, turned into the gradient in place, and forgotten: the
gradients are ready when the forward pass ends. It knows no model, only hidden vectors and a weight.

Shapes: M target tokens (no padding), D width, V vocabulary.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor


class Loss(NamedTuple):
    """`smoothed` is what is trained on, `nll` the plain negative log-likelihood; sums over tokens, in nats."""

    smoothed: Tensor
    nll: Tensor


class _FusedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden_MD: Tensor,
        weight_VD: Tensor,
        bias_V: Tensor | None,
        label_M: Tensor,
        smoothing: float,
        rows: int,
    ) -> tuple[Tensor, Tensor]:
        vocabulary = weight_VD.shape[0]
        floor = smoothing / vocabulary  # what every id gets of the target distribution
        wanted = any(ctx.needs_input_grad)
        grad_hidden = torch.empty_like(hidden_MD) if wanted else None
        grad_weight = torch.zeros_like(weight_VD, dtype=torch.float32) if wanted else None
        grad_bias = torch.zeros_like(bias_V, dtype=torch.float32) if wanted and bias_V is not None else None
        smoothed = hidden_MD.new_zeros((), dtype=torch.float32)
        nll = hidden_MD.new_zeros((), dtype=torch.float32)
        for start in range(0, hidden_MD.shape[0], rows):
            hidden, label = hidden_MD[start : start + rows], label_M[start : start + rows].unsqueeze(1)
            logits = hidden @ weight_VD.T if bias_V is None else torch.addmm(bias_V, hidden, weight_VD.T)
            log_p = torch.log_softmax(logits.float(), dim=-1)
            here = -log_p.gather(1, label).sum()
            nll += here
            smoothed += (1 - smoothing) * here - floor * log_p.sum()
            if grad_hidden is None or grad_weight is None:
                continue
            gradient = log_p.exp_().sub_(floor)
            gradient.scatter_add_(1, label, gradient.new_full((1, 1), smoothing - 1).expand_as(label))
            gradient = gradient.to(weight_VD.dtype)
            torch.mm(gradient, weight_VD, out=grad_hidden[start : start + rows])
            if grad_weight.dtype == gradient.dtype:
                grad_weight.addmm_(gradient.T, hidden)
            else:
                grad_weight += gradient.T @ hidden
            if grad_bias is not None:
                grad_bias += gradient.sum(0, dtype=torch.float32)
        ctx.save_for_backward(grad_hidden, grad_weight, grad_bias)
        ctx.dtype = weight_VD.dtype
        ctx.mark_non_differentiable(nll)
        return smoothed, nll

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias = ctx.saved_tensors
        scale = gradients[0]
        grad_bias = None if bias is None else (bias * scale).to(ctx.dtype)
        return hidden * scale.to(hidden.dtype), (weight * scale).to(ctx.dtype), grad_bias, None, None, None


def fused_cross_entropy(
    hidden_MD: Tensor,
    weight_VD: Tensor,
    bias_V: Tensor | None,
    label_M: Tensor,
    smoothing: float,
    *,
    rows: int = 512,
) -> Loss:
    """Label-smoothed cross-entropy (Szegedy et al. 2016, section 7) of the output layer, summed over tokens.

    The target distribution gives `smoothing / V` to every id and the rest to the label. `rows` bounds the logits that
    exist at once and changes nothing else. Gradients reach `hidden_MD`, `weight_VD` and `bias_V`, once.
    """
    if torch.is_autocast_enabled(hidden_MD.device.type):
        dtype = torch.get_autocast_dtype(hidden_MD.device.type)
        hidden_MD, weight_VD = hidden_MD.to(dtype), weight_VD.to(dtype)
        bias_V = None if bias_V is None else bias_V.to(dtype)
    smoothed, nll = _FusedCrossEntropy.apply(hidden_MD, weight_VD, bias_V, label_M, smoothing, rows)  # type: ignore[no-untyped-call]
    return Loss(smoothed, nll)
