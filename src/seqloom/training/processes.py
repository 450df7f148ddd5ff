"""The processes that train one model together, and their collective operations, which do nothing for a single process.

torch's launcher (`torchrun`) starts them and sets their ranks in the environment. Each computes the gradient of its
share of every batch; the sum over all shares is the gradient of the batch. Each has the whole network, or a shard of
every weight (see `sharding.py`).
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
    device: torch.device = torch.device("cpu")  # of the tensors that processes exchange
    sharded: bool = False  # each process has a shard of every weight

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def total(self, values: Sequence[float]) -> list[float]:
        """Return the sums over all processes, the same in each."""
        return self._reduced(values, dist.ReduceOp.SUM)

    def largest(self, values: Sequence[float]) -> list[float]:
        """Return the maxima over all processes, the same in each."""
        return self._reduced(values, dist.ReduceOp.MAX)

    def _reduced(self, values: Sequence[float], how: dist.ReduceOp.RedOpType) -> list[float]:
        if self.size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor, how)
        return cast(list[float], tensor.tolist())

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Return the host tensors of all processes by rank; they must have the same shape and type."""
        if self.size == 1:
            return [tensor]
        own = tensor.to(self.device)
        every = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(every, own)
        return [each.cpu() for each in every]

    def wait(self) -> None:
        """Wait until all processes have called this."""
        if self.size > 1:
            dist.barrier()

    def wrap(self, module: nn.Module) -> nn.Module:
        """Wrap a module so that each backward pass averages its gradients over the processes."""
        if self.sharded:
            return shard(module, init_device_mesh(self.device.type, (self.size,)))
        return module if self.size == 1 else DistributedDataParallel(module, gradient_as_bucket_view=True)


ALONE = Processes()


def without_sync(module: nn.Module, on: bool) -> AbstractContextManager[None]:
    """If `on`, keep gradients local in this context, because more parts of the update follow."""
    if is_sharded(module):
        module.set_requires_gradient_sync(not on)
    if on and isinstance(module, DistributedDataParallel):
        return module.no_sync()
    return nullcontext()


@contextmanager
def joined(device: torch.device, *, sharded: bool = False) -> Iterator[Processes]:
    """Join the processes that the launcher started; yield `ALONE` without a launcher."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(dist.get_rank(), size, device, sharded)
    finally:
        dist.destroy_process_group()
