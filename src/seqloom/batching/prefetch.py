"""Batches built ahead of the consumer by one background thread. Knows an order of batches: no model and no device.

What comes out is what plain iteration gives, whatever the consumer does meanwhile: each batch depends on its epoch and
position alone. The thread goes on across the end of an epoch, so that making the next epoch's order, a shuffle and a
sort of all pairs, is over before the consumer gets there.
"""

import threading
import weakref
from queue import SimpleQueue
from typing import NamedTuple, Self

from seqloom.batching.batches import Batch, BatchOrder


class Prefetched(NamedTuple):
    """A batch, and where the one after it stands: from there a resumed run goes on."""

    batch: Batch
    epoch: int
    position: int


class Prefetcher:
    """An endless iterator over the batches of `order` from (`epoch`, `position`) on, at most `depth` of them built.

    A context manager; `close` ends the thread, which a process that ends does not wait for. `pin` puts batches into
    page-locked memory, from which a CUDA device copies while the host goes on.
    """

    def __init__(self, order: BatchOrder, epoch: int, position: int, *, depth: int = 8, pin: bool = False) -> None:
        assert depth >= 1
        self._channel = _Channel(depth)
        thread = threading.Thread(
            target=_build, args=(self._channel, order, epoch, position, pin), name="batch prefetcher", daemon=True
        )
        # Called once: by `close`, when nobody holds this object any longer, or when the interpreter begins to end,
        # so that the thread is not cut off inside NumPy or torch. The thread knows the line alone.
        self._end = weakref.finalize(self, _end, self._channel, thread)
        thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Prefetched:
        """Return the next batch. An exception of the thread is raised where the batch is due that it befell."""
        if not self._end.alive:
            raise ValueError("no batch can be drawn: closed")
        drawn = self._channel.built.get()
        if isinstance(drawn, BaseException):
            self._channel.built.put(drawn)  # who asks again is told again
            raise drawn
        self._channel.free.release()
        return drawn

    def close(self) -> None:
        """End the thread, even if it waits, and forget what is built."""
        self._end()


class _Channel:
    """What consumer and thread share: built batches, and how many more may be built."""

    def __init__(self, depth: int) -> None:
        self.built: SimpleQueue[Prefetched | BaseException] = SimpleQueue()
        self.free = threading.Semaphore(depth)
        self.closed = threading.Event()


def _build(channel: _Channel, order: BatchOrder, epoch: int, position: int, pin: bool) -> None:
    try:
        while channel.free.acquire() and not channel.closed.is_set():
            batches = order.epoch(epoch)
            batch = batches[position]
            position += 1
            if position == len(batches):
                epoch, position = epoch + 1, 0
            channel.built.put(Prefetched(batch.pinned() if pin else batch, epoch, position))
    except BaseException as error:  # whatever it is, the consumer must not wait for ever
        channel.built.put(error)


def _end(channel: _Channel, thread: threading.Thread) -> None:
    channel.closed.set()
    channel.free.release()
    if thread is not threading.current_thread():  # which is where the collector of garbage may run
        thread.join()
