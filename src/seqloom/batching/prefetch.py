"""Build batches in a background thread, ahead of the consumer.

The batches are the same as those of plain iteration, because each depends only on its epoch and position. The thread
continues into the next epoch, so that the shuffle and sort of all pairs is done before the consumer gets there.
"""

import threading
import weakref
from queue import SimpleQueue
from typing import NamedTuple, Self

from seqloom.batching.batches import Batch, BatchOrder


class Prefetched(NamedTuple):
    """A batch, and the epoch and position of the next one, where a resumed run continues."""

    batch: Batch
    epoch: int
    position: int


class Prefetcher:
    """An endless iterator over the batches of `order`, starting at (`epoch`, `position`).

    At most `depth` batches are built ahead. With `pin`, batches are in page-locked memory, from which a CUDA device can
    copy asynchronously. Use it as a context manager or call `close` to end the thread; the thread is a daemon and does
    not keep the process alive.
    """

    def __init__(self, order: BatchOrder, epoch: int, position: int, *, depth: int = 8, pin: bool = False) -> None:
        assert depth >= 1
        self._channel = _Channel(depth)
        thread = threading.Thread(
            target=_build, args=(self._channel, order, epoch, position, pin), name="batch prefetcher", daemon=True
        )
        # Runs once: from `close`, when this object is garbage collected, or when the interpreter starts to exit, so
        # that the thread is not killed inside NumPy or torch. The thread references only the channel, never this
        # object, so the finalizer can run.
        self._end = weakref.finalize(self, _end, self._channel, thread)
        thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Prefetched:
        """Return the next batch. If building it failed in the thread, this and every later call raises the error."""
        if not self._end.alive:
            raise ValueError("this prefetcher is closed")
        drawn = self._channel.built.get()
        if isinstance(drawn, BaseException):
            self._channel.built.put(drawn)  # the next call raises it again
            raise drawn
        self._channel.free.release()
        return drawn

    def close(self) -> None:
        """End the thread and discard the batches that it has built."""
        self._end()


class _Channel:
    """What consumer and thread share: the built batches, and a count of how many more may be built."""

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
    except BaseException as error:  # otherwise the consumer would wait forever
        channel.built.put(error)


def _end(channel: _Channel, thread: threading.Thread) -> None:
    channel.closed.set()
    channel.free.release()
    if thread is not threading.current_thread():  # the GC may run this in the thread itself, which cannot join itself
        thread.join()
