"""The processes that train one model together, and their collective operations, which do nothing for a single process.

Whoever starts them, on one machine or several, sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT in their
environment, as torch's launcher (`torchrun`) does. Every batch is cut into `shares` shares, whatever the number of
processes. Each process computes the gradient of its shares; the sum over all is the gradient of the batch. Each has the
whole network, or a shard of every weight (see `sharding.py`).
"""

import json
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import NamedTuple, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.nn.parallel import DistributedDataParallel

from seqloom.batching.batches import ProcessShare
from seqloom.errors import TrainingError
from seqloom.training.sharding import is_sharded, shard

# What gloo and NCCL say when another process has ended, or its machine cannot be reached.
_LOST = ("by peer", "Broken pipe", "NCCL", "Timed out", "timed out", "Connection refused", "Socket Timeout")


class Processes(NamedTuple):
    """This process among `size` of them."""

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")  # of the tensors that processes exchange
    sharded: bool = False  # each process has a shard of every weight
    shares: int = 1  # of every batch; at least `size`

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    @property
    def share(self) -> ProcessShare:
        """The part of each batch that this process computes."""
        return ProcessShare(self.rank, self.size, self.shares)

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

    def texts(self, text: str) -> list[str]:
        """Return the texts of all processes, by rank."""
        content = _bytes(text.encode())
        lengths = [int(each) for each in self.gather(torch.tensor([len(content)]))]
        padded = torch.zeros(max(lengths), dtype=torch.uint8)
        padded[: len(content)] = content
        every = zip(self.gather(padded), lengths, strict=True)
        return [bytes(each[:length].numpy()).decode() for each, length in every]

    def from_first(self, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return in every process the host tensors that `make` returns in the first one; only there it is called.

        So files that only the first process needs can be on its machine alone.
        """
        if self.size == 1:
            return make()
        tensors = make() if self.first else {}
        kinds = {name: (str(each.dtype).removeprefix("torch."), [*each.shape]) for name, each in tensors.items()}
        described = self.texts(json.dumps(kinds))[0]
        for name, (kind, shape) in json.loads(described).items():
            tensor = tensors[name] if self.first else torch.empty(shape, dtype=getattr(torch, kind))
            sent = tensor.contiguous().to(self.device)
            if sent.numel():
                dist.broadcast(sent.reshape(-1).view(torch.uint8), src=0)
            tensors[name] = tensor if self.first else sent.cpu()
        return tensors

    def wait(self) -> None:
        """Wait until all processes have called this."""
        if self.size > 1:
            dist.barrier()

    def wrap(self, module: nn.Module) -> nn.Module:
        """Wrap a module so that each backward pass averages its gradients over the processes."""
        if self.sharded:
            return shard(module, init_device_mesh(self.device.type, (self.size,)))
        return module if self.size == 1 else DistributedDataParallel(module, gradient_as_bucket_view=True)

    def __str__(self) -> str:
        """Name this process in a message."""
        return f"rank {self.rank} on {socket.gethostname()}"


ALONE = Processes()


def _bytes(content: bytes) -> Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else torch.empty(0, dtype=torch.uint8)


def without_sync(module: nn.Module, on: bool) -> AbstractContextManager[None]:
    """If `on`, keep gradients local in this context, because more parts of the update follow."""
    if is_sharded(module):
        module.set_requires_gradient_sync(not on)
    if on and isinstance(module, DistributedDataParallel):
        return module.no_sync()
    return nullcontext()


@contextmanager
def joined(device: torch.device, *, sharded: bool = False, shares: int | None = None) -> Iterator[Processes]:
    """Join the processes that a launcher started; without one, this process is alone.

    Args:
        device: the device of this process; processes with GPUs exchange tensors by NCCL, others by gloo.
        sharded: shard every weight over the processes.
        shares: the number of shares of every batch; None is one for each process.

    Raises:
        TrainingError: there are more processes than shares, or the connection to another process was lost.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    shares = shares or size
    if size > shares:
        raise TrainingError(
            f"train.processes is {shares}, but {size} processes were started; set it to {size} or more, or to auto. "
            "A batch is cut into that many shares, so another number trains another model"
        )
    if size == 1:
        yield Processes(shares=shares)
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(dist.get_rank(), size, device, sharded, shares)
    except RuntimeError as error:
        if not any(each in str(error) for each in _LOST):
            raise
        what = str(error).strip().splitlines()[0]
        raise TrainingError(
            f"rank {dist.get_rank()} lost the connection to another process ({what}), which says why in its own "
            "output; run again to continue from the last checkpoint"
        ) from error
    finally:
        dist.destroy_process_group()
