"""Fully sharded data parallel training, for models that do not fit one device.

Each process has a shard of every weight, its gradient and its optimiser state (Rajbhandari et al. 2020, ZeRO, stage 3);
a layer is gathered while it computes. torch's `fully_shard` (FSDP2) does the work. The functions here leave unsharded
modules and tensors unchanged, and all processes must call them.

FSDP2 takes seconds to import, so it is imported only if needed, and sharded objects are recognised by their attributes.
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
    """Return whether `shard` has sharded this module."""
    return hasattr(module, "reshard")


def _is_part(tensor: Tensor) -> "TypeGuard[DTensor]":
    return hasattr(tensor, "full_tensor")


def shard(module: nn.Module, mesh: DeviceMesh) -> nn.Module:
    """Shard a module: each block of the network in it separately, and the rest together."""
    from torch.distributed.fsdp import fully_shard

    for network in [each for each in module.modules() if isinstance(each, Seq2Seq)]:
        for block in network.blocks:
            fully_shard(block, mesh=mesh)
    fully_shard(module, mesh=mesh)
    return module


@contextmanager
def gathered(module: nn.Module) -> Iterator[None]:
    """Give every process all weights of the module, read-only, until the context ends."""
    parts = [each for each in module.modules() if is_sharded(each)]
    for part in parts:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    try:
        yield
    finally:
        for part in parts:
            part.reshard()
            part.set_reshard_after_forward(part is not parts[0], recurse=False)  # parts[0] is the module itself


def whole(tensor: Tensor) -> Tensor:
    """Return the full tensor of a sharded one."""
    return tensor.full_tensor() if _is_part(tensor) else tensor


def wholes(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the full tensors, by name."""
    return {name: whole(tensor) for name, tensor in tensors.items()}


def part_like(stored: Tensor, part: Tensor) -> Tensor:
    """Shard the full tensor `stored`, which every process has, in the way `part` is sharded."""
    if not _is_part(part):
        return stored
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(stored.to(part.device), part.device_mesh, part.placements, src_data_rank=None)
