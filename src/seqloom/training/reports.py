"""The reports that the engine passes to its listeners. A listener is any function, such as `list.append` in a test."""

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

_LOG = logging.getLogger(__name__)


class StepReport(NamedTuple):
    """One update, or the mean of several. Losses are nats per target token; `seconds` is wall time."""

    step: int
    epoch: int
    loss: float  # as trained on: with label smoothing and R-Drop
    lr: float
    grad_norm: float  # before clipping
    tokens: int  # of the target, without padding, over all processes
    seconds: float
    done: float  # used share of max_steps, max_epochs or max_minutes, whichever is nearest to its end


class ValidationReport(NamedTuple):
    """One validation."""

    step: int
    loss: float  # nats per target token, without label smoothing
    bleu: float
    best: bool
    seconds: float


class SkippedReport(NamedTuple):
    """An update that was skipped because its gradient was not finite."""

    step: int
    in_a_row: int
    saved: str  # the file with its batches


class SplitReport(NamedTuple):
    """The batches of an update did not fit into memory and are computed in parts; the update is the same."""

    step: int
    parts: int


class WarningReport(NamedTuple):
    """Something that needs a person's attention, such as a growing loss."""

    step: int
    message: str


class CheckpointReport(NamedTuple):
    """A checkpoint was written, or training resumed from one."""

    step: int
    resumed: bool


Report = StepReport | ValidationReport | SkippedReport | SplitReport | WarningReport | CheckpointReport
ReportListener = Callable[[Report], None]


class Listeners:
    """Passes each report to every listener. One that raises is logged and dropped, so it cannot stop training."""

    def __init__(self, listeners: Sequence[ReportListener]) -> None:
        self._listeners = list(listeners)

    def __call__(self, report: Report) -> None:
        """Call the listeners that have not failed."""
        for listener in list(self._listeners):
            try:
                listener(report)
            except Exception as error:
                self._listeners.remove(listener)
                _LOG.warning(
                    "%s failed at a %s and gets no more reports of this run, which continues: %r",
                    type(listener).__name__, type(report).__name__, error,
                )  # fmt: skip
