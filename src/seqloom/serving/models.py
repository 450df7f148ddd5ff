"""The service: all served models, each of which translates in its directions."""

import asyncio
import time
from collections.abc import Sequence

from seqloom.errors import BusyError, DirectionError, ParamsError, TooLongError
from seqloom.languages import Direction
from seqloom.serving.companion import Companion, Role
from seqloom.serving.detection import detector
from seqloom.serving.drift import DriftWatch
from seqloom.serving.metrics import Metrics
from seqloom.serving.service import Answer, Detected, Drift, Limits, Query, Seen, Served
from seqloom.serving.slot import Slot

MOST_DRAWING = 2
"""Requests for attention at a time."""


class Models:
    """Implements `Service` with models. Call `start` first, and `close` at the end."""

    def __init__(
        self,
        slots: Sequence[Slot],
        limits: Limits,
        metrics: Metrics,
        poll_seconds: float = 2.0,
        companion: Companion | None = None,
        drift: DriftWatch | None = None,
    ) -> None:
        self._slots, self._limits, self._metrics, self._poll = list(slots), limits, metrics, poll_seconds
        self._companion, self._drift = companion, drift
        self._drawing = 0  # pictures of attention in progress
        self._watching: list[asyncio.Task[None]] = []

    @property
    def limits(self) -> Limits:
        """The largest request."""
        return self._limits

    async def start(self) -> None:
        """Load every model, and begin to watch for new versions.

        Raises:
            ParamsError: two models have the same name, or translate in the same direction.
            SeqloomError: a model cannot be loaded.
        """
        for slot in self._every_slot():
            await slot.start()
        self._check_directions()
        await asyncio.to_thread(self.detect, "warm")  # loads the model of the recogniser
        for slot in self._slots:
            self._observe(slot, (), slot.loaded.engine.directions[0])  # so that its drift is reported before a request
        loop = asyncio.get_running_loop()
        self._watching = [loop.create_task(slot.watch(self._poll)) for slot in self._slots]

    async def close(self) -> None:
        """Stop watching, translate what waits, and end the worker threads."""
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        if self._companion is not None:
            await self._companion.close()
        for slot in self._slots:
            await slot.close()
        if self._drift is not None:
            await asyncio.to_thread(self._drift.close)

    def directions(self) -> list[Direction]:
        """Return the directions served now, sorted."""
        return sorted({each for slot in self._slots for each in slot.loaded.engine.directions})

    def served(self) -> list[Served]:
        """Return the models served now, sorted by name."""
        return sorted((slot.loaded.served for slot in self._every_slot()), key=lambda served: served.name)

    def drift(self) -> list[Drift]:
        """Return the drift of each model."""
        return [] if self._drift is None else self._drift.report()

    def detect(self, text: str) -> list[Detected]:
        """Return the served languages, most likely first."""
        return detector(tuple(sorted({code for each in self.directions() for code in each}))).detect(text)

    async def translate(self, query: Query) -> Answer:
        """Translate; see `Service.translate`."""
        self._check(query)
        slot = self._slot(query.direction) if not query.version else self._slot_of_version(query)
        if not query.version:
            self._observe(slot, query.texts, query.direction)
        chosen = None if query.version else self._chosen(slot, query)
        if chosen is not None and chosen.role is Role.CANARY:
            release = chosen.slot.loaded.release
            if (results := await chosen.answer(query)) is not None:
                return self._counted(chosen.slot.name, Answer(results, release.label))
        loaded, start = slot.loaded, time.perf_counter()
        try:
            results = await loaded.batcher.translate(query)
        except BusyError:
            self._metrics.refused(slot.name)
            raise
        if chosen is not None and chosen.role is Role.SHADOW:
            chosen.repeat(query, Answer(results, loaded.release.label), time.perf_counter() - start)
        return self._counted(slot.name, Answer(results, loaded.release.label))

    async def attention(self, query: Query, translation: str) -> Seen:
        """Return the attention; see `Service.attention`."""
        self._check(query)
        slot = self._slot(query.direction) if not query.version else self._slot_of_version(query)
        (text,), loaded = query.texts, slot.loaded
        if len(translation) > self._limits.characters:
            raise TooLongError(f"the translation has more than {self._limits.characters:,} characters")
        if self._drawing >= MOST_DRAWING:
            raise BusyError("other pictures of attention are being made", 1.0)
        self._drawing += 1
        try:
            picture = await asyncio.to_thread(loaded.engine.attention, text, translation, query.direction)
        finally:
            self._drawing -= 1
        return Seen(picture, loaded.release.label)

    def _observe(self, slot: Slot, texts: Sequence[str], direction: Direction) -> None:
        if self._drift is not None:
            self._drift.observe(slot.name, slot.loaded.release.label, slot.loaded.folder, texts, direction)

    def _counted(self, name: str, answer: Answer) -> Answer:
        self._metrics.flags(name, (found[0] for found in answer.results))
        return answer

    def _every_slot(self) -> list[Slot]:
        return [*self._slots, *([] if self._companion is None else [self._companion.slot])]

    def _chosen(self, slot: Slot, query: Query) -> Companion | None:
        """Return the companion of a model if it takes this query."""
        companion = self._companion
        return companion if companion is not None and companion.name == slot.name and companion.takes(query) else None

    def _slot_of_version(self, query: Query) -> Slot:
        """Return the slot of the version that a query names. It may be the companion."""
        for slot in self._every_slot():
            if slot.loaded.release.label == query.version and query.direction in slot.loaded.engine.directions:
                return slot
        served = ", ".join(each.version for each in self.served())
        raise DirectionError(f"version {query.version!r} is not served for {query.direction}; served are {served}")

    def _slot(self, direction: Direction) -> Slot:
        for slot in self._slots:
            if direction in slot.loaded.engine.directions:
                return slot
        served = ", ".join(map(str, self.directions()))
        raise DirectionError(f"no model translates from {direction.source} to {direction.target}; served are {served}")

    def _check(self, query: Query) -> None:
        limits = self._limits
        if len(query.texts) > limits.texts:
            raise TooLongError(f"{len(query.texts):,} texts in one request; at most {limits.texts:,} are allowed")
        if (characters := sum(map(len, query.texts))) > limits.characters:
            raise TooLongError(f"{characters:,} characters in one request; at most {limits.characters:,} are allowed")
        if not 1 <= query.n_best <= limits.alternatives + 1:
            raise TooLongError(f"{query.n_best - 1} alternatives are requested; valid are 0 to {limits.alternatives}")

    def _check_directions(self) -> None:
        taken: dict[Direction, str] = {}
        names = [slot.name for slot in self._slots]
        for name in names:
            if names.count(name) > 1:
                raise ParamsError(f"two models are called {name}; each needs a name of its own")
        for slot in self._slots:
            for direction in slot.loaded.engine.directions:
                if direction in taken:
                    raise ParamsError(
                        f"{taken[direction]} and {slot.name} both translate {direction}; serve one of them, or start "
                        "a server for each"
                    )
                taken[direction] = slot.name
