"""Listeners that cannot stop training: one that raises is told of once, and then left alone."""

import logging
from collections.abc import Sequence

from seqloom.training.reports import Report, ReportListener

_LOG = logging.getLogger(__name__)


class Listeners:
    """Hands every report to all that listen, but to those no more that failed once."""

    def __init__(self, listeners: Sequence[ReportListener]) -> None:
        self._listeners = list(listeners)

    def __call__(self, report: Report) -> None:
        """Tell those who can still be told."""
        for listener in list(self._listeners):
            try:
                listener(report)
            except Exception as error:
                self._listeners.remove(listener)
                _LOG.warning(
                    "%s failed at a %s and hears no more of this run, which goes on: %r",
                    type(listener).__name__, type(report).__name__, error,
                )  # fmt: skip
