"""Compares the texts of requests with those that the served version was trained on.

Only the bins of features are kept (`seqloom.drift.features`), of the last texts of each model, never a text. A thread
of its own computes them; if it cannot keep up, requests are left out. A distribution whose population stability index
stays above the bound for some time raises an alarm and is announced once, until it is below the bound again.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from seqloom.drift.features import Extractor, Features, recogniser
from seqloom.drift.profile import PROFILE, Profile
from seqloom.errors import SeqloomError
from seqloom.languages import Direction
from seqloom.serving.metrics import Metrics
from seqloom.serving.service import Drift
from seqloom.tokenization.catalogue import load_tokenizer

WINDOW = 2_000
"""Texts of a model that are compared: the last ones."""
PER_REQUEST = 50
"""Texts of a request that are counted, evenly spread over it."""
MOST_WAITING = 16
"""Requests that wait to be counted; more are left out."""
RETRY = 60.0
"""Seconds until an announcement that failed is tried again."""
NO_PROFILE = (
    f"drift is not measured, because the model folder has no profile of its training texts ({PROFILE}); versions that "
    "are registered have one"
)

_logger = logging.getLogger(__name__)


class DriftBound(NamedTuple):
    """When texts have drifted."""

    above: float  # the population stability index that a feature must exceed
    seconds: float  # for how long


class Drifted(NamedTuple):
    """What is announced."""

    model: str  # the name of the model
    version: str  # as in `Answer`
    indices: Mapping[str, float]  # by feature
    bound: DriftBound


Announce = Callable[[Drifted], None]
"""Tell somebody. It may block for seconds, and raises `OSError` if it fails."""


class DriftWatch:
    """Watches all served models. `announce` may be None; `clock` returns seconds."""

    def __init__(
        self,
        metrics: Metrics,
        bound: DriftBound,
        announce: Announce | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metrics, self._bound, self._announce, self._clock = metrics, bound, announce, clock
        self._windows: dict[str, _Window] = {}  # by model
        self._waiting = 0
        self._thread = ThreadPoolExecutor(1, "drift")

    def observe(self, model: str, version: str, folder: Path, texts: Sequence[str], direction: Direction) -> None:
        """Count texts that a version is asked to translate. Returns at once."""
        if self._waiting >= MOST_WAITING:
            return
        self._waiting += 1
        chosen = texts[:: -(-len(texts) // PER_REQUEST)] if texts else []
        self._thread.submit(self._count, model, version, folder, chosen, direction).add_done_callback(self._counted)

    def report(self) -> list[Drift]:
        """Return what is known about each model, by name."""
        return [window.report() for _, window in sorted(self._windows.items())]

    def close(self) -> None:
        """Drop what waits, and end."""
        self._thread.shutdown(cancel_futures=True)

    def _counted(self, done: object) -> None:
        self._waiting -= 1

    def _count(self, model: str, version: str, folder: Path, texts: Sequence[str], direction: Direction) -> None:
        try:
            window = self._windows.get(model)
            if window is None or window.version != version:
                window = self._windows[model] = _Window(model, version, folder)
                self._metrics.drift(model, {}, 0)
            if window.reference is not None:
                window.add(texts, direction)
                self._metrics.drift(model, window.indices, len(window))
                self._watch(window)
        except Exception:
            _logger.exception("%s: drift cannot be computed", version)

    def _watch(self, window: "_Window") -> None:
        """Raise or end the alarm, and announce what has drifted for long enough."""
        now = self._clock()
        above = {name: index for name, index in window.indices.items() if index > self._bound.above}
        if not above:
            window.since, window.announced = None, False
        elif window.since is None:
            window.since = now
        window.drifted = window.since is not None and now - window.since >= self._bound.seconds
        self._metrics.alarm(window.model, "drift", on=window.drifted)
        if window.drifted and not window.announced and now >= window.retry_at:
            self._tell(window, above)

    def _tell(self, window: "_Window", above: Mapping[str, float]) -> None:
        found = ", ".join(f"{name} {index:.2f}" for name, index in above.items())
        _logger.warning("%s: the texts of requests differ from those of training: %s", window.version, found)
        try:
            if self._announce is not None:
                self._announce(Drifted(window.model, window.version, window.indices, self._bound))
            window.announced = True
        except OSError as error:
            window.retry_at = self._clock() + RETRY
            _logger.error("%s: drift cannot be announced, trying again in a minute: %s", window.version, error)


class _Window:
    """The last texts of a model, as bins, and their profile."""

    def __init__(self, model: str, version: str, folder: Path) -> None:
        self.model, self.version = model, version
        self.reference = Profile.read(folder / PROFILE)
        self.indices: dict[str, float] = {}
        self.since: float | None = None  # when a feature was first above the bound
        self.drifted = self.announced = False
        self.retry_at = 0.0
        self._kept: deque[Features] = deque()
        self._profile = Profile()
        self._extractor: Extractor | None = None
        self.reason = ""
        if self.reference is None:
            self.reason = NO_PROFILE
            _logger.info("%s: %s", version, self.reason)
            return
        try:
            self._extractor = Extractor(load_tokenizer(folder / "tokenizer"), recogniser())
        except SeqloomError as error:
            self.reference, self.reason = None, f"drift is not measured: {error}"
            _logger.error("%s: %s", version, self.reason)

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, texts: Sequence[str], direction: Direction) -> None:
        """Add texts, and remove the oldest ones beyond `WINDOW`."""
        assert self._extractor is not None
        assert self.reference is not None
        for text in texts:
            features = self._extractor.features(text, direction)
            self._kept.append(features)
            self._profile.add(features)
            if len(self._kept) > WINDOW:
                self._profile.add(self._kept.popleft(), -1)
        self.indices = self._profile.index(self.reference)

    def report(self) -> Drift:
        """Return what is known."""
        return Drift(self.model, self.version, len(self), dict(self.indices), self.drifted, self.reason)
