"""Prometheus metrics. No label holds an address, a key or a text."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from seqloom.drift.features import EDGES
from seqloom.serving.batcher import BatchReport
from seqloom.translation.results import Result

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, of little use

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SCORES = (10, 20, 30, 40, 50, 60, 70, 80, 90, 99.99, 100)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

ALARM_KINDS = ("registry", "load", "drift")
"""registry: the registry does not answer. load: a new version could not be used; the old one still serves. drift: texts
differ from those of training."""


class Metrics:
    """The metrics of one server."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        route = ["interface", "route", "status"]
        self._requests = Counter("seqloom_requests", "HTTP requests.", route, registry=self.registry)
        self._request_seconds = Histogram(
            "seqloom_request_seconds",
            "Time to answer.",
            ["interface", "route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._queue_seconds = Histogram(
            "seqloom_queue_seconds", "Time that a text waits.", ["model"], buckets=_SECONDS, registry=self.registry
        )
        self._batch_seconds = Histogram(
            "seqloom_batch_seconds", "Time to translate a batch.", ["model"], buckets=_SECONDS, registry=self.registry
        )
        self._batch_texts = Histogram(
            "seqloom_batch_texts", "Texts of a batch.", ["model"], buckets=_TEXTS, registry=self.registry
        )
        self._texts = Counter("seqloom_texts", "Texts translated.", ["model"], registry=self.registry)
        self._characters = Counter(
            "seqloom_characters", "Characters of texts translated.", ["model"], registry=self.registry
        )
        self._queued = Gauge("seqloom_queued_characters", "Characters that wait.", ["model"], registry=self.registry)
        self._refused = Counter(
            "seqloom_refused", "Requests refused by a full queue.", ["model"], registry=self.registry
        )
        self._flags = Counter("seqloom_flags", "Translations with a flag.", ["model", "flag"], registry=self.registry)
        self._serving = Gauge(
            "seqloom_model_info", "1 for each version served.", ["model", "version"], registry=self.registry
        )
        self._swaps = Counter("seqloom_swaps", "Changes of the version served.", ["model"], registry=self.registry)
        self._lost = Counter("seqloom_workers_lost", "Workers that were replaced.", ["model"], registry=self.registry)
        self._alarms = Gauge(
            "seqloom_alarm", "1 while something needs attention.", ["model", "kind"], registry=self.registry
        )

        self._drift = Gauge(
            "seqloom_drift", "Population stability index to training.", ["model", "feature"], registry=self.registry
        )
        self._drift_texts = Gauge("seqloom_drift_texts", "Texts compared.", ["model"], registry=self.registry)

        other = ["model", "version", "role"]
        self._companion_failures = Counter(
            "seqloom_companion_failures",
            "Requests that a canary or shadow did not answer.",
            other,
            registry=self.registry,
        )
        shadow = ["model", "version"]
        self._compared = Counter("seqloom_shadow_texts", "Texts compared.", shadow, registry=self.registry)
        self._different = Counter(
            "seqloom_shadow_different", "Texts that the shadow translates differently.", shadow, registry=self.registry
        )
        self._similarity = Histogram(
            "seqloom_shadow_chrf", "chrF to what was served.", shadow, buckets=_SCORES, registry=self.registry
        )
        self._shadow_seconds = Counter(
            "seqloom_shadow_seconds", "Time of the same requests.", [*shadow, "by"], registry=self.registry
        )

    def request(self, interface: str, route: str, status: int, seconds: float) -> None:
        """Count a request. `route` is the template of a path, so that the number of series is bounded."""
        self._requests.labels(interface, route, str(status)).inc()
        self._request_seconds.labels(interface, route).observe(seconds)

    def batch(self, model: str, report: BatchReport) -> None:
        """Count a batch."""
        self._batch_texts.labels(model).observe(report.texts)
        self._batch_seconds.labels(model).observe(report.seconds)
        for seconds in report.waited:
            self._queue_seconds.labels(model).observe(seconds)
        self._texts.labels(model).inc(report.texts)
        self._characters.labels(model).inc(report.characters)

    def queue(self, model: str, characters: Callable[[], float]) -> None:
        """Set the function that returns how many characters wait; it is called when the metrics are read."""
        self._queued.labels(model).set_function(characters)

    def refused(self, model: str) -> None:
        """Count a request that found the queue full."""
        self._refused.labels(model).inc()

    def flags(self, model: str, results: Iterable[Result]) -> None:
        """Count the flags of translations."""
        for result in results:
            for flag in result.flags:
                self._flags.labels(model, str(flag)).inc()

    def serving(self, model: str, version: str, before: str | None) -> None:
        """Record which version serves now, and which one did before."""
        if before is not None:
            self._serving.remove(model, before)
            self._swaps.labels(model).inc()
        else:
            self._swaps.labels(model).inc(0)  # so that the series exists
            for kind in ALARM_KINDS:
                self.alarm(model, kind, on=False)
        self._serving.labels(model, version).set(1)

    def alarm(self, model: str, kind: str, *, on: bool) -> None:
        """Raise or end an alarm of one of `ALARM_KINDS`."""
        self._alarms.labels(model, kind).set(on)

    def drift(self, model: str, indices: Mapping[str, float], texts: int) -> None:
        """Set the drift of a model: the population stability index of each feature, and the texts compared."""
        for feature in EDGES:
            if feature in indices:
                self._drift.labels(model, feature).set(indices[feature])
            elif not texts:
                with suppress(KeyError):
                    self._drift.remove(model, feature)
        self._drift_texts.labels(model).set(texts)

    def worker_lost(self, model: str) -> None:
        """Count a worker process that ended and was replaced."""
        self._lost.labels(model).inc()

    def companion_failed(self, model: str, version: str, role: str) -> None:
        """Count a request that a canary or a shadow did not answer."""
        self._companion_failures.labels(model, version, role).inc()

    def compared(self, model: str, version: str, scores: Sequence[float], seconds: tuple[float, float]) -> None:
        """Count texts that a shadow translated: their chrF, and the time of the served version and of the shadow."""
        self._compared.labels(model, version).inc(len(scores))
        self._different.labels(model, version).inc(sum(score < 100 for score in scores))
        for score in scores:
            self._similarity.labels(model, version).observe(score)
        for by, took in zip(("served", "shadow"), seconds, strict=True):
            self._shadow_seconds.labels(model, version, by).inc(took)

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self.registry)
