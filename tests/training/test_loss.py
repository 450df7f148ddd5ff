import pytest
import torch
from torch.nn import functional as F

from seqloom.training.loss import fused_cross_entropy


def inputs(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    hidden = torch.randn(23, 6, dtype=dtype, requires_grad=True)
    weight = torch.randn(11, 6, dtype=dtype, requires_grad=True)
    bias = torch.randn(11, dtype=dtype, requires_grad=True)
    return hidden, weight, bias, torch.randint(0, 11, (23,))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("rows", [4, 23, 100])
@pytest.mark.parametrize("with_bias", [True, False])
def test_equals_the_loss_of_torch_and_its_gradients(smoothing: float, rows: int, with_bias: bool) -> None:
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
