"""One served model: it follows its source, and replaces the version that serves without a pause.

A new version is loaded beside the old one, translates some texts on trial in a thread of its own, and then takes over:
requests that come later go to it, and the old version ends when those it has are answered. A version that cannot be
loaded, or fails its trial, leaves the old one serving and raises an alarm; it is tried again after a while.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from seqloom.errors import RegistryError
from seqloom.languages import Direction
from seqloom.serving.batcher import Batcher, BatchReport, Bounds
from seqloom.serving.metrics import Metrics
from seqloom.serving.releases import ModelSource, Release
from seqloom.serving.service import Picture, Served
from seqloom.serving.trials import TRIALS, check_trials
from seqloom.translation.results import Result

RETRY = 60.0
"""Seconds until a version that could not be used is tried again."""

_logger = logging.getLogger(__name__)


class AnyEngine(Protocol):
    """A model that translates: in this process (`engine.Engine`), or in several (`engine_pool.EnginePool`)."""

    @property
    def directions(self) -> tuple[Direction, ...]:
        """The directions that it translates in."""

    @property
    def lanes(self) -> int:
        """How many threads may call `translate` at the same time."""

    def translate(self, texts: Sequence[str], direction: Direction, n_best: int) -> list[list[Result]]:
        """Return for each text up to `n_best` distinct translations, best first."""

    def attention(self, text: str, translation: str, direction: Direction) -> Picture:
        """Return the attention to `text` while `translation` is written; for the errors see `Service.attention`."""

    def close(self) -> None:
        """End its processes, if any. No thread may be in `translate`."""


Load = Callable[[Path, bool], AnyEngine]
"""Load a model folder; if the second argument is true and the engine has its own processes, with low priority."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A version that is in memory."""

    name: str
    release: Release
    engine: AnyEngine
    batcher: Batcher
    since: str
    folder: Path

    @property
    def served(self) -> Served:
        """What is known about it."""
        return Served(self.name, self.release.label, self.engine.directions, self.release.scores, self.since)

    async def close(self) -> None:
        """Translate what waits, and end."""
        await self.batcher.close()
        await asyncio.to_thread(self.engine.close)


class Slot:
    """The place of one model. Its methods belong to the event loop; loading happens in other threads."""

    def __init__(
        self,
        source: ModelSource,
        bounds: Bounds,
        metrics: Metrics,
        load: Load,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.source, self._bounds, self._metrics = source, bounds, metrics
        self._load, self._clock = load, clock
        self._loaded: Loaded | None = None
        self._refused, self._retry_at = "", 0.0
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        """The name of the model."""
        return self.source.name

    @property
    def loaded(self) -> Loaded:
        """The version that serves. Call `start` before."""
        assert self._loaded is not None
        return self._loaded

    async def start(self) -> None:
        """Load the first version. Raises `SeqloomError` if there is none that works."""
        label = await asyncio.to_thread(self.source.current)
        self._use(await self._prepare(label))

    async def refresh(self) -> None:
        """Ask the source, and replace the version if another one is current."""
        try:
            label = await asyncio.to_thread(self.source.current)
        except RegistryError as error:
            self._alarm("registry", f"{self.name}: the registry cannot be read: {error}")
            return
        self._metrics.alarm(self.name, "registry", on=False)
        if label == self.loaded.release.label:
            self._metrics.alarm(self.name, "load", on=False)
            self._refused = ""
        elif label != self._refused or self._clock() >= self._retry_at:
            await self._replace(label)

    async def watch(self, seconds: float, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Refresh every few seconds until cancelled."""
        while True:
            await pause(seconds)
            try:
                await self.refresh()
            except Exception:
                _logger.exception("%s: unexpected error; the version that serves stays", self.name)

    async def close(self) -> None:
        """Translate what waits, and end."""
        if self._loaded is not None:
            await self._loaded.close()
        await asyncio.gather(*self._ending)

    async def _replace(self, label: str) -> None:
        try:
            new = await self._prepare(label)
        except Exception as error:  # whatever is wrong with it, the old version must go on
            self._refused, self._retry_at = label, self._clock() + RETRY
            serving = self.loaded.release.label
            self._alarm("load", f"{label} cannot be used, {serving} still serves: {str(error) or repr(error)}")
            return
        self._metrics.alarm(self.name, "load", on=False)
        self._refused = ""
        old = self.loaded
        self._use(new)
        ending = asyncio.get_running_loop().create_task(old.close())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def _prepare(self, label: str) -> Loaded:
        """Load a version and try it. Raises whatever goes wrong."""
        release, folder = await asyncio.to_thread(self.source.fetch, label)
        engine = await asyncio.to_thread(self._load, folder, self._loaded is not None)
        batcher = Batcher(engine.translate, self._bounds, self._report, lanes=engine.lanes)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        new = Loaded(self.name, release, engine, batcher, now, folder)
        try:
            for direction in engine.directions:
                # One at a time, so that the version that serves is never disturbed for long.
                found = [(await batcher.run([text], direction))[0] for text in TRIALS]
                check_trials(direction, found)
        except BaseException:
            await new.close()
            raise
        return new

    def _use(self, new: Loaded) -> None:
        before = None if self._loaded is None else self._loaded.release.label
        self._loaded = new
        self._metrics.serving(self.name, new.release.label, before)
        self._metrics.queue(self.name, lambda: new.batcher.queued)
        _logger.info("%s serves%s", new.release.label, f" instead of {before}" if before else "")

    def _report(self, report: BatchReport) -> None:
        self._metrics.batch(self.name, report)

    def _alarm(self, kind: str, message: str) -> None:
        self._metrics.alarm(self.name, kind, on=True)
        _logger.error("%s", message)
