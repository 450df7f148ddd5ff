"""The processes that train one model together, and what they tell each other. One process alone tells nobody.

They are started by torch's launcher (`torchrun`), which names them in the environment. Each computes the gradient of
its share of every batch; the sum over all shares is the gradient of the batch. Each holds the whole network, or a part
of every weight (see `sharding.py`).
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import NamedTuple, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.nn.parallel import DistributedDataParallel

from seqloom.training.sharding import is_sharded, shard


class Processes(NamedTuple):
    """This process among `size` of them."""

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")  # where numbers travel
    sharded: bool = False  # each holds a part of the weights

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def total(self, values: Sequence[float]) -> list[float]:
        """The sums over all processes, the same in each."""
        return self._reduced(values, dist.ReduceOp.SUM)

    def largest(self, values: Sequence[float]) -> list[float]:
        """The largest over all processes, the same in each."""
        return self._reduced(values, dist.ReduceOp.MAX)

    def _reduced(self, values: Sequence[float], how: dist.ReduceOp.RedOpType) -> list[float]:
        if self.size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor, how)
        return cast(list[float], tensor.tolist())

    def of_each(self, tensor: Tensor) -> list[Tensor]:
        """What every process has, by rank: a host tensor of one shape and kind."""
        if self.size == 1:
            return [tensor]
        own = tensor.to(self.device)
        every = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(every, own)
        return [each.cpu() for each in every]

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.size > 1:
            dist.barrier()

    def together(self, module: nn.Module) -> nn.Module:
        """The module, whose gradients become the mean over the processes in each backward pass."""
        if self.sharded:
            return shard(module, init_device_mesh(self.device.type, (self.size,)))
        return module if self.size == 1 else DistributedDataParallel(module, gradient_as_bucket_view=True)


ALONE = Processes()


def apart(module: nn.Module, on: bool) -> AbstractContextManager[None]:
    """While `on`, gradients stay in each process: more of the batch follows."""
    if is_sharded(module):
        module.set_requires_gradient_sync(not on)
    if on and isinstance(module, DistributedDataParallel):
        return module.no_sync()
    return nullcontext()


@contextmanager
def joined(device: torch.device, *, sharded: bool = False) -> Iterator[Processes]:
    """Meet the processes that the launcher started with this one; alone where there was no launcher."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(dist.get_rank(), size, device, sharded)
    finally:
        dist.destroy_process_group()
