"""Counts what a shadow translates differently, and stores the counts for `seqloom promote` and the gate."""

import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from seqloom.gate.shadow import Comparison, store_comparison
from seqloom.translation.results import Result

EVERY = 30.0
"""Seconds between two writes of the report."""

_logger = logging.getLogger(__name__)


class ShadowReport:
    """The report of a shadow, in files below `folder`; `clock` returns seconds. Methods block and need one thread."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock = folder, clock
        self._counted: Comparison | None = None
        self._written_at = -EVERY

    def add(
        self,
        versions: tuple[str, str],
        results: Sequence[tuple[Result, Result]],
        scores: Sequence[float],
        seconds: tuple[float, float],
    ) -> None:
        """Count a request that both answered.

        Args:
            versions: the one that served, and the shadow.
            results: the best translations of each text by both.
            scores: the chrF (0 to 100) of each text between both.
            seconds: that both took.
        """
        before = self._of(versions)
        served, shadow = (_flags(results, side) for side in (0, 1))
        self._count(
            before._replace(
                requests=before.requests + 1,
                texts=before.texts + len(scores),
                different=before.different + sum(score < 100 for score in scores),
                chrf=before.chrf + sum(scores),
                served_seconds=before.served_seconds + seconds[0],
                shadow_seconds=before.shadow_seconds + seconds[1],
                served_flags=dict(Counter(before.served_flags) + served),
                shadow_flags=dict(Counter(before.shadow_flags) + shadow),
            )
        )

    def fail(self, versions: tuple[str, str]) -> None:
        """Count a request that the shadow did not answer."""
        before = self._of(versions)
        self._count(before._replace(requests=before.requests + 1, failed=before.failed + 1))

    def close(self) -> None:
        """Write what was counted last."""
        self._write()

    def _of(self, versions: tuple[str, str]) -> Comparison:
        """Return the comparison of these versions; a change of version begins a new one."""
        if self._counted is None or (self._counted.served, self._counted.shadow) != versions:
            self._write()
            self._counted = Comparison(uuid.uuid4().hex, *versions, _now(), _now())
        return self._counted

    def _count(self, comparison: Comparison) -> None:
        self._counted = comparison._replace(ended=_now())
        if self._clock() - self._written_at >= EVERY:
            self._write()

    def _write(self) -> None:
        if self._counted is None:
            return
        self._written_at = self._clock()
        try:
            store_comparison(self._folder, self._counted)
        except OSError as error:
            _logger.error("the report of the shadow cannot be written: %s", error)


def _flags(results: Sequence[tuple[Result, Result]], side: int) -> Counter[str]:
    return Counter(str(flag) for pair in results for flag in pair[side].flags)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
