import torch

from seqloom.models.dropout import Dropout, ReluDropout


def test_dropout_zeroes_the_given_share_and_keeps_the_mean() -> None:
    torch.manual_seed(1)
    x = torch.ones(1000, 1003)
    y = Dropout(0.25)(x)
    assert abs((y == 0).float().mean().item() - 0.25) < 0.002
    assert abs(y.mean().item() - 1) < 0.003
    assert set(y.unique().tolist()) == {0.0, 1 / 0.75} or torch.allclose(y.unique(), torch.tensor([0.0, 1 / 0.75]))


def test_all_bytes_of_a_draw_are_equally_random() -> None:
    torch.manual_seed(2)
    dropped = (Dropout(0.5)(torch.ones(800_000)) == 0).float().view(-1, 8).mean(dim=0)
    assert (dropped - 0.5).abs().max().item() < 0.01


def test_the_gradient_has_the_mask_of_the_forward_pass() -> None:
    torch.manual_seed(3)
    x = torch.randn(64, 7, requires_grad=True)
    y = Dropout(0.5)(x)
    y.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.where(y == 0, 0.0, 2.0))


def test_evaluation_and_rate_zero_have_no_effect() -> None:
    x = torch.randn(5)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x


def test_equal_seeds_give_equal_masks() -> None:
    torch.manual_seed(4)
    first = Dropout(0.3)(torch.ones(100))
    torch.manual_seed(4)
    assert torch.equal(first, Dropout(0.3)(torch.ones(100)))


def test_a_rate_close_to_one_keeps_the_mean() -> None:
    torch.manual_seed(5)
    y = Dropout(0.9999)(torch.ones(1_000_000))
    assert y.isfinite().all()
    assert abs(y.mean().item() - 1) < 0.1


def test_fused_relu_and_dropout_equal_the_separate_operations() -> None:
    x = torch.randn(64, 7)
    results = []
    for layer in (ReluDropout(0.3), torch.nn.Sequential(torch.nn.ReLU(), Dropout(0.3))):
        torch.manual_seed(6)
        leaf = x.clone().requires_grad_()
        y = layer(leaf)
        (y * x).sum().backward()
        results.append((y.detach(), leaf.grad))
    torch.testing.assert_close(results[0], results[1])
    assert torch.equal(ReluDropout(0.3).eval()(x), x.relu())
    assert torch.equal(ReluDropout(0.0)(x), x.relu())
