"""Translates texts of many requests together, in one or several worker threads.

While the workers translate, texts of new requests wait; the next batch takes one text of each client in turn until it
is full. So a client with a thousand texts does not delay one with a single text by more than a batch. If a
worker is idle, the first text waits a few milliseconds for others. Workers that are idle share what waits.

All state belongs to the event loop, so there are no locks. Nothing here knows models or HTTP.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from seqloom.errors import BusyError
from seqloom.languages import Direction
from seqloom.serving.service import Query
from seqloom.translation.results import Result

CLIENT_SHARE = 0.5
"""The share of the queue up to which a client may add to texts that it has waiting already."""
_OVERHEAD = 10  # characters: what a text costs besides its length
_SMOOTHING = 0.3  # weight of the last batch in the measured rate
_LONGEST_RETRY = 60.0  # seconds

Translate = Callable[[Sequence[str], Direction, int], list[list[Result]]]
"""Return up to n results of each text, in one direction."""


class Bounds(NamedTuple):
    """How much is translated together, and how much may wait."""

    batch_characters: int
    queue_characters: int
    wait: float  # seconds that the first text waits for others if the worker is idle


class BatchReport(NamedTuple):
    """A batch that was translated."""

    texts: int
    characters: int
    waited: tuple[float, ...]  # seconds that each text was in the queue
    seconds: float  # of the translation


class _Request:
    """A query whose texts may be in several batches."""

    def __init__(self, query: Query, future: asyncio.Future[list[list[Result]]]) -> None:
        self.query, self.future = query, future
        self.results: list[list[Result]] = [[] for _ in query.texts]
        self.left = len(query.texts)

    def fill(self, index: int, results: list[Result]) -> None:
        """Store the results of a text; the last one completes the request."""
        self.results[index] = results
        self.left -= 1
        if not self.left and not self.future.done():
            self.future.set_result(self.results)

    def fail(self, error: BaseException) -> None:
        """Fail the request, unless it is done."""
        if not self.future.done():
            self.future.set_exception(error)


@dataclass(frozen=True, slots=True, eq=False)
class _Item:
    """A text that waits."""

    request: _Request
    index: int
    cost: int  # characters
    since: float

    @property
    def text(self) -> str:
        return self.request.query.texts[self.index]

    @property
    def kind(self) -> tuple[Direction, int]:
        """What all texts of one call of the translator have in common."""
        return self.request.query.direction, self.request.query.n_best


class Batcher:
    """Queues queries, and translates up to `lanes` batches at a time. Create it within a running event loop.

    `pause` and `clock` are those of the event loop; tests replace them.
    """

    def __init__(
        self,
        translate: Translate,
        bounds: Bounds,
        report: Callable[[BatchReport], None] = lambda report: None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        lanes: int = 1,
    ) -> None:
        self._translate, self._bounds, self._report = translate, bounds, report
        self._pause, self._clock = pause, clock
        self._waiting: dict[str, deque[_Item]] = {}  # by client, in the order of their turns
        self._queued: dict[str, int] = {}  # characters, by client
        self._rate = 0.0  # characters per second
        self._arrived, self._full = asyncio.Event(), asyncio.Event()
        self._closing = False
        self._idle = lanes
        self._threads = ThreadPoolExecutor(lanes, "translate")
        loop = asyncio.get_running_loop()
        self._workers = [loop.create_task(self._work()) for _ in range(lanes)]

    @property
    def queued(self) -> int:
        """The number of characters that wait."""
        return sum(self._queued.values())

    async def translate(self, query: Query) -> list[list[Result]]:
        """Return the results of each text.

        If the caller is cancelled, the texts that wait are dropped.

        Raises:
            BusyError: too many characters wait already.
            Exception: what the translator raised for one of the texts.
        """
        if not query.texts:
            return []
        costs = [(len(text) + _OVERHEAD) * query.n_best for text in query.texts]
        self._check(query.client, sum(costs))
        request = _Request(query, asyncio.get_running_loop().create_future())
        now = self._clock()
        line = self._waiting.setdefault(query.client, deque())
        line.extend(_Item(request, index, cost, now) for index, cost in enumerate(costs))
        self._queued[query.client] = self._queued.get(query.client, 0) + sum(costs)
        self._arrived.set()
        if self.queued >= self._bounds.batch_characters:
            self._full.set()
        try:
            return await request.future
        finally:
            if request.left:
                self._drop(request)

    async def run(self, texts: Sequence[str], direction: Direction) -> list[list[Result]]:
        """Translate texts in a worker thread without queueing them, as a trial."""
        call = partial(self._translate, texts, direction, 1)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def close(self) -> None:
        """Translate what waits, then end the workers. `translate` must not be called any more."""
        self._closing = True
        self._arrived.set()
        self._full.set()
        await asyncio.gather(*self._workers)
        self._threads.shutdown(wait=False)

    def _check(self, client: str, cost: int) -> None:
        limit = self._bounds.queue_characters
        own, everyone = self._queued.get(client, 0), self.queued
        if (everyone and everyone + cost > limit) or (own and own + cost > limit * CLIENT_SHARE):
            seconds = min(_LONGEST_RETRY, max(1.0, everyone / self._rate)) if self._rate else 1.0
            raise BusyError(f"the server is busy; try again in {seconds:.0f} s", seconds)

    def _drop(self, request: _Request) -> None:
        client = request.query.client
        line = self._waiting.get(client, deque())
        dropped = [item for item in line if item.request is request]
        if dropped:
            kept = deque(item for item in line if item.request is not request)
            self._waiting[client] = kept
            self._leave(client, sum(item.cost for item in dropped))
            if not kept:
                del self._waiting[client]

    def _leave(self, client: str, cost: int) -> None:
        self._queued[client] -= cost
        if not self._queued[client]:
            del self._queued[client]

    async def _work(self) -> None:
        while True:
            if not self._waiting:
                if self._closing:
                    return
                self._arrived.clear()
                await self._arrived.wait()
                await self._gather()
            elif batch := self._next_batch():
                self._idle -= 1
                try:
                    await self._run(batch)
                except Exception as error:  # a bug; other requests must not hang
                    for item in batch:
                        item.request.fail(error)
                finally:
                    self._idle += 1

    async def _gather(self) -> None:
        """Wait a moment for more texts, but not if a batch is full."""
        if self._bounds.wait <= 0 or self._closing or self.queued >= self._bounds.batch_characters:
            return
        self._full.clear()
        waits = [asyncio.ensure_future(self._pause(self._bounds.wait)), asyncio.ensure_future(self._full.wait())]
        _, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for each in pending:
            each.cancel()

    def _next_batch(self) -> list[_Item]:
        """Take texts off the queue, one of each client in turn: the share of one idle worker, at most a full batch."""
        batch: list[_Item] = []
        left = min(self._bounds.batch_characters, -(-self.queued // max(1, self._idle)))
        while self._waiting:
            client, line = next(iter(self._waiting.items()))
            if batch and line[0].cost > left:
                break
            item = line.popleft()
            del self._waiting[client]
            if line:
                self._waiting[client] = line  # at the end
            self._leave(client, item.cost)
            left -= item.cost
            batch.append(item)
        return batch

    async def _run(self, batch: list[_Item]) -> None:
        start = self._clock()
        waited = tuple(start - item.since for item in batch)
        for kind in dict.fromkeys(item.kind for item in batch):
            await self._translate_together([item for item in batch if item.kind == kind])
        seconds = self._clock() - start
        if seconds > 0:
            rate = sum(item.cost for item in batch) / seconds
            self._rate = rate if not self._rate else _SMOOTHING * rate + (1 - _SMOOTHING) * self._rate
        self._report(BatchReport(len(batch), sum(len(item.text) for item in batch), waited, seconds))

    async def _translate_together(self, items: list[_Item]) -> None:
        """Translate texts of one kind. If that fails, translate each alone, so that only the request at fault fails."""
        direction, n_best = items[0].kind
        call = partial(self._translate, [item.text for item in items], direction, n_best)
        try:
            results = await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except Exception as error:
            if len(items) == 1:
                items[0].request.fail(error)
                return
            for item in items:
                await self._translate_together([item])
            return
        for item, found in zip(items, results, strict=True):
            item.request.fill(item.index, found)
