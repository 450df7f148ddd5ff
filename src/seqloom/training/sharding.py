"""Weights shared out among processes, for a model that does not fit one device: fully sharded data parallel training.

Each process holds a part of every weight, of its gradient and of its moments (Rajbhandari et al. 2020, ZeRO, stage 3);
a layer is gathered while it computes. torch's `fully_shard` (FSDP2) does it; here stands what the engine must know of
it. All functions leave alone what is not sharded, and have to be called by all processes.

FSDP2 takes seconds to import, so it is only where something is sharded; what is, is known by what it can do.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeGuard

from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh

from seqloom.models.seq2seq import Seq2Seq

if TYPE_CHECKING:
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor


def is_sharded(module: nn.Module) -> "TypeGuard[FSDPModule]":
    """Whether `shard` made this module one whose weights are shared out."""
    return hasattr(module, "reshard")


def _is_part(tensor: Tensor) -> "TypeGuard[DTensor]":
    return hasattr(tensor, "full_tensor")


def shard(module: nn.Module, mesh: DeviceMesh) -> nn.Module:
    """The module with its weights shared out: each block of the network in it for itself, the rest together."""
    from torch.distributed.fsdp import fully_shard

    for network in [each for each in module.modules() if isinstance(each, Seq2Seq)]:
        for block in network.blocks:
            fully_shard(block, mesh=mesh)
    fully_shard(module, mesh=mesh)
    return module


@contextmanager
def gathered(module: nn.Module) -> Iterator[None]:
    """Where every process holds all weights of the module, to read and not to change them."""
    parts = [each for each in module.modules() if is_sharded(each)]
    for part in parts:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    try:
        yield
    finally:
        for part in parts:
            part.reshard()
            part.set_reshard_after_forward(part is not parts[0], recurse=False)  # which is the module itself


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor of which this process holds a part."""
    return tensor.full_tensor() if _is_part(tensor) else tensor


def wholes(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`whole` of each, by name."""
    return {name: whole(tensor) for name, tensor in tensors.items()}


def part_like(stored: Tensor, part: Tensor) -> Tensor:
    """Of a whole tensor that every process has, the part that this one holds of `part`."""
    if not _is_part(part):
        return stored
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(stored.to(part.device), part.device_mesh, part.placements, src_data_rank=None)
