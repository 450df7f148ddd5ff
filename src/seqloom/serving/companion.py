"""Another version beside the one that serves: a canary answers a share of the requests, a shadow only repeats them.

A canary that fails leaves the request to the version that serves. A shadow works after the answer was sent; what it
translates differently is counted, with the chrF between both and the time that each took, in the metrics and in a
report (`gate.shadow`).
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import TypeVar

from seqloom.errors import BusyError
from seqloom.evaluation.metrics import chrf
from seqloom.serving.metrics import Metrics
from seqloom.serving.service import Answer, Query
from seqloom.serving.shadow_report import ShadowReport
from seqloom.serving.slot import Slot
from seqloom.translation.results import Result

MOST_WAITING = 8
"""Requests that wait for a shadow; more are not repeated, so that a slow shadow costs no memory."""

_logger = logging.getLogger(__name__)
_Returned = TypeVar("_Returned")


class Role(StrEnum):
    """What a companion does with its share of the requests."""

    CANARY = "canary"
    SHADOW = "shadow"


class Companion:
    """A version that gets a share (0 to 1) of the requests to the model called `name`; every n-th, not at random.

    `report` stores what a shadow translates differently.
    """

    def __init__(
        self, name: str, slot: Slot, role: Role, share: float, metrics: Metrics, report: ShadowReport | None = None
    ) -> None:
        self.name, self.slot, self.role = name, slot, role
        self._share, self._metrics, self._report = share, metrics, report
        self._thread = ThreadPoolExecutor(1, "compare")
        self._due = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    def takes(self, query: Query) -> bool:
        """Return whether it gets this request, and count it."""
        if query.direction not in self.slot.loaded.engine.directions:
            return False
        self._due += self._share
        if self._due < 1 - 1e-9:
            return False
        self._due -= 1
        return True

    async def answer(self, query: Query) -> list[list[Result]] | None:
        """Return the canary's translations, or None if it fails."""
        try:
            return await self.slot.loaded.batcher.translate(query)
        except Exception as error:
            if not isinstance(error, BusyError):
                _logger.error("%s failed: %s", self.slot.loaded.release.label, error)
            self._metrics.companion_failed(self.name, self.slot.loaded.release.label, self.role)
            return None

    def repeat(self, query: Query, served: Answer, seconds: float) -> None:
        """Let the shadow translate what was served, which took `seconds`, and compare. Returns at once."""
        if len(self._tasks) >= MOST_WAITING:
            return
        task = asyncio.get_running_loop().create_task(self._compare(query._replace(n_best=1), served, seconds))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait for comparisons in progress, then end."""
        await asyncio.gather(*self._tasks)
        if self._report is not None:
            await self._in_thread(self._report.close)
        self._thread.shutdown()
        await self.slot.close()

    async def _compare(self, query: Query, served: Answer, seconds: float) -> None:
        start = time.perf_counter()
        versions = served.version, self.slot.loaded.release.label
        found = await self.answer(query)
        if found is None:
            if self._report is not None:
                await self._in_thread(self._report.fail, versions)
            return
        took = seconds, time.perf_counter() - start
        pairs = [(ours[0], theirs[0]) for ours, theirs in zip(served.results, found, strict=True)]
        scores = await self._in_thread(_similarities, pairs)
        self._metrics.compared(self.name, versions[1], scores, took)
        if self._report is not None:
            await self._in_thread(self._report.add, versions, pairs, scores, took)

    async def _in_thread(self, call: Callable[..., _Returned], *arguments: object) -> _Returned:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)


def _similarities(pairs: Sequence[tuple[Result, Result]]) -> list[float]:
    """Return the chrF (0 to 100) of the second text of each pair against the first; 100 if they are equal."""
    metric = chrf()
    return [
        100.0 if ours.text == theirs.text else float(metric.sentence_score(theirs.text, [ours.text]).score)
        for ours, theirs in pairs
    ]
