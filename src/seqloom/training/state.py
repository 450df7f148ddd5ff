"""Where a run stands: all that changes over time but weights, moments and generators. Every checkpoint holds it."""

import math
from dataclasses import dataclass, field
from typing import NamedTuple


class HistoryRow(NamedTuple):
    """A row of the learning curve; None where nothing was measured. Losses in nats per target token."""

    step: int
    epoch: int
    loss: float | None
    lr: float | None
    grad_norm: float | None
    valid_loss: float | None
    valid_bleu: float | None


@dataclass
class RunState:
    """The engine's own numbers."""

    step: int = 0
    epoch: int = 0
    position: int = 0  # the next batch of the epoch
    best_bleu: float = -math.inf
    best_step: int = 0
    stale: int = 0  # validations since the best one
    skipped: int = 0  # updates left out
    skipped_in_a_row: int = 0
    minutes: float = 0.0  # of training before the last interruption
    history: list[HistoryRow] = field(default_factory=list)
    snapshots: list[int] = field(default_factory=list)  # the steps whose weights are kept for averaging
    # Sums since the last report: smoothed loss, tokens, gradient norm, updates.
    loss_sum: float = 0.0
    token_sum: int = 0
    norm_sum: float = 0.0
    updates: int = 0

    def count(self, smoothed: float, tokens: int, norm: float) -> None:
        """Add an update to the sums."""
        self.skipped_in_a_row = 0
        self.loss_sum += smoothed
        self.token_sum += tokens
        self.norm_sum += norm
        self.updates += 1

    def note_report(self, lr: float) -> None:
        """Turn the sums since the last report into a row of the history."""
        if not self.updates:
            return
        loss, norm = self.loss_sum / self.token_sum, self.norm_sum / self.updates
        self.history.append(HistoryRow(self.step, self.epoch, loss, lr, norm, None, None))
        self.loss_sum, self.token_sum, self.norm_sum, self.updates = 0.0, 0, 0.0, 0

    def note_validation(self, loss: float, bleu: float) -> bool:
        """Add a validation to the history and return whether it is the best one so far."""
        best = bleu > self.best_bleu
        if best:
            self.best_bleu, self.best_step, self.stale = bleu, self.step, 0
        else:
            self.stale += 1
        row = HistoryRow(self.step, self.epoch, None, None, None, loss, bleu)
        if self.history and self.history[-1].step == self.step:
            row = self.history.pop()._replace(valid_loss=loss, valid_bleu=bleu)
        self.history.append(row)
        return best
