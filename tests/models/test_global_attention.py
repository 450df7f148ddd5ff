import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqloom.models.attention import source_mask
from seqloom.models.global_attention import AdditiveAttention, GlobalAttention, build_global_attention

NAMES = ["additive", "dot", "general"]
LENGTHS = torch.tensor([6, 3, 1])


def build(name: str, width: int = 8) -> GlobalAttention:
    torch.manual_seed(3)
    look = build_global_attention(name, width)
    for parameter in look.parameters():
        nn.init.normal_(parameter, std=0.5)
    return look


def score(look: GlobalAttention, name: str, query: NDArray[np.float32], memory: NDArray[np.float32]) -> float:
    """Bahdanau et al. 2015, appendix A.1.2; Luong et al. 2015, equation 8."""
    matrix = {key: value.detach().numpy() for key, value in look.named_parameters()}
    if name == "additive":
        return float(matrix["vector"] @ np.tanh(matrix["query.weight"] @ query + matrix["key.weight"] @ memory))
    return float(query @ (matrix["key.weight"] @ memory if name == "general" else memory))


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_those_of_the_formula_in_numpy(name: str) -> None:
    look = build(name)
    query, memory = torch.randn(3, 4, 8), torch.randn(3, 6, 8)
    mask = source_mask(LENGTHS, 6)
    weights = look.weights(query, look.keys(memory), mask).detach().numpy()
    context = look(query, look.keys(memory), memory, mask).detach().numpy()
    for row, length in enumerate(LENGTHS.tolist()):
        real = memory[row, :length].numpy()
        for position in range(4):
            scores = np.array([score(look, name, query[row, position].numpy(), each) for each in real])
            expected = np.exp(scores) / np.exp(scores).sum()
            np.testing.assert_allclose(weights[row, position, :length], expected, atol=1e-5)
            np.testing.assert_allclose(context[row, position], expected @ real, atol=1e-5)
    assert (weights[~np.broadcast_to(mask[:, 0].numpy(), weights.shape)] == 0).all()
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_no_mask_is_a_mask_that_allows_everything(name: str) -> None:
    look = build(name)
    query, memory = torch.randn(3, 4, 8), torch.randn(3, 6, 8)
    everything = torch.ones(3, 1, 1, 6, dtype=torch.bool)
    torch.testing.assert_close(
        look(query, look.keys(memory), memory, None), look(query, look.keys(memory), memory, everything)
    )


def gradients(look: AdditiveAttention) -> tuple[Tensor, ...]:
    torch.manual_seed(5)
    query, memory = torch.randn(3, 5, 8, requires_grad=True), torch.randn(3, 6, 8, requires_grad=True)
    scores = look.scores(query, look.keys(memory))
    (scores * torch.randn(3, 5, 6)).sum().backward()
    found = [scores.detach(), query.grad, memory.grad, *(each.grad for each in look.parameters())]
    look.zero_grad()
    return tuple(each for each in found if each is not None)


@pytest.mark.parametrize(("chunk", "recompute_above"), [(1, 1 << 25), (300, 1 << 25), (1, 0), (300, 0)])
def test_additive_scores_do_not_depend_on_how_they_are_cut(chunk: int, recompute_above: int) -> None:
    look = build("additive")
    assert isinstance(look, AdditiveAttention)
    expected = gradients(look)
    look.chunk, look.recompute_above = chunk, recompute_above
    found = gradients(look)
    assert len(found) == 6
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


def test_thousands_of_positions_keep_no_more_than_a_few_numbers_a_pair() -> None:
    """All sums that the additive score needs would be 16 x 2000 x 2000 numbers of four bytes: 256 MB."""
    look = build("additive", width=16)
    query, memory = torch.randn(1, 2000, 16, requires_grad=True), torch.randn(1, 2000, 16)
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        context = look(query, look.keys(memory), memory, None)
    assert sum(kept.values()) < 3 * 4 * 2000 * 2000
    context.sum().backward()
    assert query.grad is not None
    assert torch.isfinite(query.grad).all()


def test_an_unknown_name_is_refused_with_the_valid_ones() -> None:
    with pytest.raises(ValueError, match="'cosine'; valid are additive, dot and general"):
        build_global_attention("cosine", 8)
