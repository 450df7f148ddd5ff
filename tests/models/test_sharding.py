"""Networks with sharded weights (FSDP2), gathered one block at a time; here a single process holds all shards.

Reading a weight while its block is not gathered mixes a `DTensor` with plain tensors, which raises an error.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard

from seqloom.models.seq2seq import Seq2Seq
from seqloom.training.loss import fused_cross_entropy
from tests.models.networks import NETWORKS, TIED, VOCABULARY, make, random_ids


@pytest.fixture
def mesh() -> Iterator[DeviceMesh]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


def gradients(model: Seq2Seq) -> dict[str, Tensor]:
    torch.manual_seed(3)
    hidden = model.train()(random_ids(4, 7), torch.tensor([7, 2, 5, 1]), random_ids(4, 6))
    labels = torch.randint(VOCABULARY, (24,))
    loss = fused_cross_entropy(hidden.flatten(0, 1), model.output_weight, model.output_bias, labels, 0.1)
    torch.autograd.backward(loss.smoothed)
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.filterwarnings("ignore:.*returned a view tensor.*:UserWarning")  # which nothing writes into
@pytest.mark.parametrize(("name", "ties"), [(name, ties) for name, ties in TIED if ties != "target"])
def test_a_sharded_network_has_the_gradients_of_an_unsharded_one(
    name: str, ties: str, mesh: DeviceMesh, folders: dict[str, Path]
) -> None:
    expected = gradients(make(name, folders, ties=ties))
    model = make(name, folders, ties=ties)
    assert bool(model.blocks) == (NETWORKS[name][0] in ("transformer", "pretrained"))
    for block in model.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    found = {each: gradient.full_tensor() for each, gradient in gradients(model).items()}  # type: ignore[attr-defined]
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
