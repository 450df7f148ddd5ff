"""A thread that writes to the disk while training continues, and copies of tensors for it."""

from collections.abc import Callable
from concurrent import futures

import torch
from torch import Tensor


class Background:
    """Runs jobs in one thread, in the order in which they were started.

    There is at most one unfinished job of each kind, which bounds the memory that jobs hold. An exception of a job is
    raised by the next `wait`, or by the next `wait_for` of its kind.
    """

    def __init__(self, name: str) -> None:
        self._thread = futures.ThreadPoolExecutor(1, name)
        self._jobs: dict[str, futures.Future[None]] = {}  # by kind, oldest first

    def start(self, kind: str, job: Callable[[], None]) -> None:
        """Start a job, which runs when those before it are done; first wait for an unfinished job of this kind."""
        self.wait_for(kind)
        self._jobs[kind] = self._thread.submit(job)

    def wait_for(self, kind: str) -> None:
        """Wait until no job of this kind is unfinished."""
        if kind in self._jobs:
            self.wait()

    def wait(self) -> None:
        """Wait until every job is done. If jobs failed, raise the exception of the first one."""
        self.finish()
        done, self._jobs = self._jobs, {}
        for job in done.values():
            job.result()

    def finish(self) -> None:
        """Wait until every job is done, without raising; a later `wait` raises."""
        futures.wait(self._jobs.values())


def host_copies(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return copies of the tensors in host memory, which training does not change."""
    copies = {
        # From a GPU all are copied at once, without waiting for each, which requires pinned memory.
        name: torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda).copy_(
            tensor.detach(), non_blocking=True
        )
        for name, tensor in tensors.items()
    }
    if any(tensor.is_cuda for tensor in tensors.values()):
        torch.cuda.synchronize()
    return copies
