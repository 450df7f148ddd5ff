import pytest
import torch
from torch.nn import functional as F

from seqloom.training.loss import Loss, fused_cross_entropy, fused_r_drop


def inputs(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    hidden = torch.randn(23, 6, dtype=dtype, requires_grad=True)
    weight = torch.randn(11, 6, dtype=dtype, requires_grad=True)
    bias = torch.randn(11, dtype=dtype, requires_grad=True)
    return hidden, weight, bias, torch.randint(0, 11, (23,))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("rows", [4, 23, 100])
@pytest.mark.parametrize("with_bias", [True, False])
def test_loss_and_gradients_equal_those_of_torch(smoothing: float, rows: int, with_bias: bool) -> None:
    hidden, weight, bias, label = (
        t.float().detach().requires_grad_() if t.is_floating_point() else t for t in inputs()
    )
    leaves = [hidden, weight, bias] if with_bias else [hidden, weight]
    logits = F.linear(hidden, weight, bias if with_bias else None)
    expected = F.cross_entropy(logits, label, reduction="sum", label_smoothing=smoothing)
    loss = fused_cross_entropy(hidden, weight, bias if with_bias else None, label, smoothing, rows=rows)
    torch.testing.assert_close(loss.smoothed, expected)
    torch.testing.assert_close(loss.nll, F.cross_entropy(logits, label, reduction="sum"))
    ours = torch.autograd.grad(loss.smoothed * 0.5, leaves)
    theirs = torch.autograd.grad(expected * 0.5, leaves)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-4)


def test_without_gradients_the_values_are_the_same() -> None:
    hidden, weight, bias, label = inputs(torch.float32)
    expected = fused_cross_entropy(hidden, weight, bias, label, 0.1)
    with torch.no_grad():
        assert torch.equal(fused_cross_entropy(hidden, weight, bias, label, 0.1).smoothed, expected.smoothed)


def two_passes(with_bias: bool) -> tuple[list[torch.Tensor], torch.Tensor]:
    torch.manual_seed(2)
    shapes = [(2, 23, 6), (11, 6), (11,)] if with_bias else [(2, 23, 6), (11, 6)]
    return [torch.randn(shape).requires_grad_() for shape in shapes], torch.randint(0, 11, (23,))


def plain_r_drop(leaves: list[torch.Tensor], label: torch.Tensor, smoothing: float, alpha: float) -> torch.Tensor:
    """Return the R-Drop loss, computed with torch functions."""
    first, second = (F.linear(hidden, *leaves[1:]) for hidden in leaves[0])
    entropies = [
        F.cross_entropy(logits, label, reduction="sum", label_smoothing=smoothing) for logits in (first, second)
    ]
    log_p, log_q = first.log_softmax(-1), second.log_softmax(-1)
    one = F.kl_div(log_q, log_p, reduction="sum", log_target=True)  # KL(p|q)
    other = F.kl_div(log_p, log_q, reduction="sum", log_target=True)
    return (entropies[0] + entropies[1] + alpha * (one + other) / 2) / 2


def fused(leaves: list[torch.Tensor], label: torch.Tensor, smoothing: float, alpha: float, rows: int = 512) -> Loss:
    bias = leaves[2] if len(leaves) == 3 else None
    return fused_r_drop(leaves[0], leaves[1], bias, label, smoothing, alpha, rows=rows)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("alpha", [0.0, 1.0, 5.0])
@pytest.mark.parametrize("rows", [1, 8, 46, 512])
@pytest.mark.parametrize("with_bias", [True, False])
def test_r_drop_and_its_gradients_equal_the_formula(smoothing: float, alpha: float, rows: int, with_bias: bool) -> None:
    leaves, label = two_passes(with_bias)
    expected = plain_r_drop(leaves, label, smoothing, alpha)
    loss = fused(leaves, label, smoothing, alpha, rows)
    torch.testing.assert_close(loss.smoothed, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(loss.nll, plain_r_drop(leaves, label, 0.0, 0.0), atol=1e-5, rtol=1e-5)
    ours = torch.autograd.grad(loss.smoothed * 0.5, leaves)
    theirs = torch.autograd.grad(expected * 0.5, leaves)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-5)


def test_r_drop_with_alpha_0_is_the_mean_of_both_passes() -> None:
    leaves, label = two_passes(with_bias=True)
    hidden, weight, bias = leaves
    apart = [fused_cross_entropy(each, weight, bias, label, 0.1) for each in hidden]
    loss = fused(leaves, label, 0.1, 0.0)
    torch.testing.assert_close(loss.smoothed, (apart[0].smoothed + apart[1].smoothed) / 2)
    torch.testing.assert_close(loss.nll, (apart[0].nll + apart[1].nll) / 2)


def test_r_drop_of_two_equal_passes_is_the_plain_loss() -> None:
    leaves, label = two_passes(with_bias=True)
    same = leaves[0][:1].detach().repeat(2, 1, 1)
    plain = fused_cross_entropy(same[0], leaves[1], leaves[2], label, 0.1)
    torch.testing.assert_close(fused([same, *leaves[1:]], label, 0.1, 5.0).smoothed, plain.smoothed)


def test_r_drop_without_gradients_has_the_same_value() -> None:
    leaves, label = two_passes(with_bias=True)
    expected = fused(leaves, label, 0.1, 5.0)
    with torch.no_grad():
        assert torch.equal(fused(leaves, label, 0.1, 5.0).smoothed, expected.smoothed)
