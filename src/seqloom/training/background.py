"""Work beside training: a thread for what waits for the disk, and copies that training does not change meanwhile."""

from collections.abc import Callable
from concurrent import futures

import torch
from torch import Tensor


class Background:
    """Does jobs in a thread, one after the other in the order in which they come.

    Of each kind there is at most one that is not done, which bounds the memory that jobs hold. What a job raises is
    raised by the next `wait`, or `wait_for` its kind.
    """

    def __init__(self, name: str) -> None:
        self._thread = futures.ThreadPoolExecutor(1, name)
        self._jobs: dict[str, futures.Future[None]] = {}  # by kind, oldest first

    def start(self, kind: str, job: Callable[[], None]) -> None:
        """Do a job as soon as the ones before it are done."""
        self.wait_for(kind)
        self._jobs[kind] = self._thread.submit(job)

    def wait_for(self, kind: str) -> None:
        """Wait until a job of this kind can be started."""
        if kind in self._jobs:
            self.wait()

    def wait(self) -> None:
        """Wait until every job is done. Raises what the first of those that failed did."""
        self.finish()
        done, self._jobs = self._jobs, {}
        for job in done.values():
            job.result()

    def finish(self) -> None:
        """Wait until every job is done, whatever became of it; `wait` tells that later."""
        futures.wait(self._jobs.values())


def copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors in this machine's memory, and no longer those that training changes."""
    copies = {
        # From a GPU all are copied at once, which takes memory that stays where it is.
        name: torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda).copy_(
            tensor.detach(), non_blocking=True
        )
        for name, tensor in tensors.items()
    }
    if any(tensor.is_cuda for tensor in tensors.values()):
        torch.cuda.synchronize()
    return copies
