import subprocess
import sys

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqloom.models.attention import source_mask
from seqloom.models.global_attention import AdditiveAttention, GlobalAttention, build_global_attention
from seqloom.models.settings import Score

NAMES: list[Score] = ["additive", "dot", "general"]
LENGTHS = torch.tensor([6, 3, 1])


def build(name: Score, width: int = 8) -> GlobalAttention:
    torch.manual_seed(3)
    look = build_global_attention(name, width)
    for parameter in look.parameters():
        nn.init.normal_(parameter, std=0.5)
    return look


def score(look: GlobalAttention, name: Score, query: NDArray[np.float32], memory: NDArray[np.float32]) -> float:
    """Bahdanau et al. 2015, appendix A.1.2; Luong et al. 2015, equation 8."""
    matrix = {key: value.detach().numpy() for key, value in look.named_parameters()}
    if name == "additive":
        return float(matrix["vector"] @ np.tanh(matrix["query.weight"] @ query + matrix["key.weight"] @ memory))
    return float(query @ (matrix["key.weight"] @ memory if name == "general" else memory))


@pytest.mark.parametrize("name", NAMES)
def test_weights_equal_the_formula_in_numpy(name: Score) -> None:
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
def test_no_mask_equals_a_mask_that_allows_everything(name: Score) -> None:
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
def test_additive_scores_do_not_depend_on_the_chunk_size(chunk: int, recompute_above: int) -> None:
    look = build("additive")
    assert isinstance(look, AdditiveAttention)
    expected = gradients(look)
    look.chunk, look.recompute_above = chunk, recompute_above
    found = gradients(look)
    assert len(found) == 6
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


def test_long_scores_work_in_bf16_and_inference_mode() -> None:
    look = build("additive")
    assert isinstance(look, AdditiveAttention)
    expected = gradients(look)
    look.recompute_above = 0
    with torch.inference_mode():  # must not leave an inference tensor for training
        look.scores(torch.randn(2, 500, 8), torch.randn(2, 40, 8))
    torch.testing.assert_close(gradients(look), expected, atol=1e-6, rtol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = gradients(look)
    torch.testing.assert_close(rounded, expected, atol=0.1, rtol=0.1, check_dtype=False)


def test_long_sequences_store_only_a_few_numbers_per_pair_of_positions() -> None:
    """All sums of the additive score would be 16 x 2000 x 2000 numbers of four bytes: 256 MB."""
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


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
def test_a_long_pair_needs_memory_for_one_chunk_only() -> None:
    """Runs in its own process, so that no earlier peak counts. All sums would be 256 MB, at once or step by step.

    Without them, the peak was 21 to 32 MB in 30 of 34 runs, and 63 to 110 MB in the others through fragmentation.
    """
    program = """
import re, sys, torch
from pathlib import Path
from seqloom.models.global_attention import build_global_attention
torch.manual_seed(1)
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
look = build_global_attention("additive", 64)
def read(length, at_once):
    query, memory = (torch.randn(1, length, 64, requires_grad=True) for _ in range(2))
    keys = look.keys(memory)
    torch.cat([look(each, keys, memory, None) for each in query.split(at_once, dim=1)], dim=1).sum().backward()
read(20, 20)
before = peak()
read(1000, 1000)
read(1000, 1)
print(peak() - before)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert int(run.stdout) < 200
