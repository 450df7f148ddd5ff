"""What the engine tells whoever listens. A test listens with `list.append`."""

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
    done: float  # share of the budget of steps, epochs or minutes that is used


class ValidationReport(NamedTuple):
    """One look at the validation split."""

    step: int
    loss: float  # nats per target token, without label smoothing
    bleu: float
    best: bool
    seconds: float


class SkippedReport(NamedTuple):
    """An update that was left out because its gradient was not finite."""

    step: int
    in_a_row: int
    saved: str  # the file that holds the batches


class SplitReport(NamedTuple):
    """Batches that did not fit into memory and were computed in parts; the update is the same."""

    step: int
    parts: int


class WarningReport(NamedTuple):
    """What a person should look at now, such as a loss that grows."""

    step: int
    message: str


class CheckpointReport(NamedTuple):
    """A checkpoint was written, or training went on from one."""

    step: int
    resumed: bool


Report = StepReport | ValidationReport | SkippedReport | SplitReport | WarningReport | CheckpointReport
ReportListener = Callable[[Report], None]


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
