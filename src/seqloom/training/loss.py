"""The output layer and its loss as one operation that never materialises all logits of a batch.

The output layer takes half of a small model's time, and the logits of a batch (tokens x vocabulary) are by far its
largest tensor. Here they are computed a few hundred rows at a time and turned into the gradient in place, so the
gradients are complete when the forward pass ends. The functions take hidden vectors and a weight, not a model.

Shapes: M target tokens (no padding), P passes over them (1, or 2 for R-Drop), R rows of a chunk, D width, V vocabulary.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Loss(NamedTuple):
    """The training loss `smoothed` and the plain negative log-likelihood `nll`; sums over tokens, in nats."""

    smoothed: Tensor
    nll: Tensor


class _Terms(NamedTuple):
    """The loss of a chunk of logits, and its gradient, which overwrites the logits."""

    smoothed: Tensor
    nll: Tensor
    gradient: Tensor | None  # (P x R, V)


_Score = Callable[[Tensor, Tensor, float, bool], _Terms]
"""Takes logits (P x R, V) in fp32, labels (R, 1), label smoothing, and whether the gradient is needed."""


def _label_share(logits_RV: Tensor, label_R1: Tensor, smoothing: float, wanted: bool) -> _Terms:
    """Cross-entropy with a target of 1 - `smoothing` for the label and 0 for all other ids.

    The share that smoothing gives to all ids is linear in the logits; `fused_cross_entropy` adds it without logits.
    """
    p = torch.softmax(logits_RV, dim=-1)
    # log sum exp = logit - log p for any id; the likeliest is used. One exp per logit; log_softmax then exp takes two.
    normalizer_R = logits_RV.amax(1) - p.amax(1).log_()
    of_labels = logits_RV.gather(1, label_R1).sum()
    total = normalizer_R.sum()
    smoothed, nll = total - (1 - smoothing) * of_labels, total - of_labels
    if not wanted:
        return _Terms(smoothed, nll, None)
    p.scatter_add_(1, label_R1, p.new_full((1, 1), smoothing - 1).expand_as(label_R1))
    return _Terms(smoothed, nll, p)


def _r_drop(alpha: float) -> _Score:
    """R-Drop: mean cross-entropy of both passes + alpha / 4 * (KL(p|q) + KL(q|p)); half of Liang et al. 2021, eq. 4.

    With d = log p - log q the two divergences are sum(p * d) and -sum(q * d). The gradient of their sum is
    p * (d - KL(p|q)) + p - q with respect to the logits of the first pass and q * (-d - KL(q|p)) + q - p to the second.
    """

    def score(logits: Tensor, label_R1: Tensor, smoothing: float, wanted: bool) -> _Terms:
        floor, weight = smoothing / logits.shape[1], alpha / 4
        log_both = torch.log_softmax(logits, dim=-1)
        log_p, log_q = log_both.chunk(2)
        nll = -(log_p.gather(1, label_R1).sum() + log_q.gather(1, label_R1).sum()) / 2
        smoothed = (1 - smoothing) * nll - floor / 2 * log_both.sum()
        d = log_p - log_q
        both = log_both.exp_()  # in place: log_p and log_q, its views, now contain p and q
        p, q = both.chunk(2)
        from_p, from_q = torch.linalg.vecdot(p, d).unsqueeze(1), -torch.linalg.vecdot(q, d).unsqueeze(1)
        smoothed = smoothed + weight * (from_p.sum() + from_q.sum())
        if not wanted:
            return _Terms(smoothed, nll, None)
        by_p = (d - (from_p - 1)).mul_(weight).add_(0.5).mul_(p).sub_(q, alpha=weight)
        by_q = d.add_(from_q - 1).mul_(-weight).add_(0.5).mul_(q).sub_(p, alpha=weight)
        gradient = torch.cat((by_p, by_q), out=both).sub_(floor / 2)
        labels = label_R1.repeat(2, 1)
        gradient.scatter_add_(1, labels, gradient.new_full((1, 1), (smoothing - 1) / 2).expand_as(labels))
        return _Terms(smoothed, nll, gradient)

    return score


class _FusedLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden_PMD: Tensor,
        weight_VD: Tensor,
        bias_V: Tensor | None,
        label_M: Tensor,
        smoothing: float,
        rows: int,
        score: _Score,
    ) -> tuple[Tensor, Tensor]:
        wanted = any(ctx.needs_input_grad)
        grad_hidden = torch.empty_like(hidden_PMD) if wanted else None
        grad_weight = torch.zeros_like(weight_VD, dtype=torch.float32) if wanted else None
        grad_bias = torch.zeros_like(bias_V, dtype=torch.float32) if wanted and bias_V is not None else None
        smoothed = hidden_PMD.new_zeros((), dtype=torch.float32)
        nll = hidden_PMD.new_zeros((), dtype=torch.float32)
        for start in range(0, label_M.shape[0], rows):
            hidden_PRD, label = hidden_PMD[:, start : start + rows], label_M[start : start + rows].unsqueeze(1)
            hidden = hidden_PRD.flatten(0, 1)
            logits = hidden @ weight_VD.T if bias_V is None else torch.addmm(bias_V, hidden, weight_VD.T)
            here = score(logits.float(), label, smoothing, wanted)
            smoothed += here.smoothed
            nll += here.nll
            if here.gradient is None or grad_hidden is None or grad_weight is None:
                continue
            gradient = here.gradient.to(weight_VD.dtype)
            for by_pass, place in zip(gradient.chunk(len(hidden_PMD)), grad_hidden, strict=True):
                torch.mm(by_pass, weight_VD, out=place[start : start + rows])
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
        return hidden * scale.to(hidden.dtype), (weight * scale).to(ctx.dtype), grad_bias, None, None, None, None


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

    The target distribution gives `smoothing / V` to every id and the rest to the label. `rows` limits the logits that
    exist at once; the result does not depend on it. `hidden_MD`, `weight_VD` and `bias_V` get gradients, once.
    """
    loss = _fused(hidden_MD.unsqueeze(0), weight_VD, bias_V, label_M, smoothing, rows, _label_share)
    if smoothing == 0:
        return loss
    # The sum of all logits of all tokens, without computing them.
    logits = hidden_MD.sum(0, dtype=torch.float32) * weight_VD.sum(0, dtype=torch.float32)
    total = logits.sum() if bias_V is None else logits.sum() + len(label_M) * bias_V.sum(dtype=torch.float32)
    return loss._replace(smoothed=loss.smoothed - smoothing / len(weight_VD) * total)


def fused_r_drop(
    hidden_2MD: Tensor,
    weight_VD: Tensor,
    bias_V: Tensor | None,
    label_M: Tensor,
    smoothing: float,
    alpha: float,
    *,
    rows: int = 512,
) -> Loss:
    """R-Drop (Liang et al. 2021, equation 4) of two passes over the same tokens with different dropout, (2, M, D).

    The paper's loss is the sum of both cross-entropies plus alpha / 2 times the sum of the two Kullback-Leibler
    divergences. This is half of it, label-smoothed: alpha has the same meaning, and the gradient has the size of a
    single pass, so that learning rates carry over from training without R-Drop. `nll` is the mean of both passes.
    `rows` limits the logits of both passes that exist at once.
    """
    return _fused(hidden_2MD, weight_VD, bias_V, label_M, smoothing, rows // 2 or 1, _r_drop(alpha))


def _fused(
    hidden_PMD: Tensor,
    weight_VD: Tensor,
    bias_V: Tensor | None,
    label_M: Tensor,
    smoothing: float,
    rows: int,
    score: _Score,
) -> Loss:
    if torch.is_autocast_enabled(hidden_PMD.device.type):
        dtype = torch.get_autocast_dtype(hidden_PMD.device.type)
        hidden_PMD, weight_VD = hidden_PMD.to(dtype), weight_VD.to(dtype)
        bias_V = None if bias_V is None else bias_V.to(dtype)
    smoothed, nll = _FusedLoss.apply(hidden_PMD, weight_VD, bias_V, label_M, smoothing, rows, score)  # type: ignore[no-untyped-call]
    return Loss(smoothed, nll)
