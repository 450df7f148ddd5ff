"""The state of a run besides weights, optimiser state and random generators, and the check for a diverging loss."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

GROW_AFTER = 2000  # updates without an overflow, after which the loss scale doubles

RISE = 1.0  # nats above its minimum at which the smoothed loss counts as diverging; noise stays far below
OVER = 0.5  # nats above its minimum below which an episode is over
HORIZON = 50  # updates: the time constant of the smoothing


class HistoryRow(NamedTuple):
    """A row of the learning curve; None if not measured. Losses are in nats per target token."""

    step: int
    epoch: int
    loss: float | None
    lr: float | None
    grad_norm: float | None
    valid_loss: float | None
    valid_bleu: float | None


@dataclass
class RunState:
    """The numbers that the engine updates. Every checkpoint contains them."""

    step: int = 0
    epoch: int = 0
    position: int = 0  # the next batch of the epoch
    best_bleu: float = -math.inf
    best_step: int = 0
    stale: int = 0  # validations since the best one
    skipped: int = 0  # updates whose gradient was not finite
    skipped_in_a_row: int = 0
    minutes: float = 0.0  # of training, including those before an interruption
    lr: float = 0.0  # of the last update
    lr_factor: float = 1.0  # of schedule plateau
    best_loss: float = math.inf  # of a validation
    stale_loss: int = 0  # validations since the lowest loss, or since the learning rate was last lowered
    loss_scale: float = 1.0
    scaled_updates: int = 0  # updates since the scale was changed
    history: list[HistoryRow] = field(default_factory=list)
    snapshots: list[int] = field(default_factory=list)  # steps whose weights are kept for averaging
    processes: list[tuple[int, int]] = field(default_factory=list)  # from which step on how many processes trained
    # Sums since the last report: smoothed loss, tokens, gradient norm, updates.
    loss_sum: float = 0.0
    token_sum: int = 0
    norm_sum: float = 0.0
    updates: int = 0

    def count(self, loss: float, tokens: int, norm: float) -> None:
        """Add an update to the sums: its loss in nats per token, its tokens, its gradient's norm."""
        self.skipped_in_a_row = 0
        self.loss_sum += loss * tokens
        self.token_sum += tokens
        self.norm_sum += norm
        self.updates += 1

    def note_processes(self, count: int, shares: int) -> str | None:
        """Note how many processes train from here on; return a message if that is another number than expected.

        Expected are as many as before, and at first one for each of the `shares` of a batch.
        """
        before = self.processes[-1][1] if self.processes else shares
        if self.processes and before == count:
            return None
        expected = f"{before} trained until here" if self.processes else f"train.processes is {shares}"
        self.processes = [*(each for each in self.processes if each[0] < self.step), (self.step, count)]
        if before == count:
            return None
        return (
            f"{count} {'process trains' if count == 1 else 'processes train'} from here on, while {expected}; the "
            "batches stay the same, so the result is equal up to rounding, not to the byte"
        )

    def note_report(self) -> HistoryRow | None:
        """Append the means since the last report to the history and return that row, or None without any update."""
        if not self.updates:
            return None
        loss, norm = self.loss_sum / self.token_sum, self.norm_sum / self.updates
        row = HistoryRow(self.step, self.epoch, loss, self.lr, norm, None, None)
        self.history.append(row)
        self.loss_sum, self.token_sum, self.norm_sum, self.updates = 0.0, 0, 0.0, 0
        return row

    def note_plateau(self, loss: float, factor: float, patience: int) -> None:
        """Multiply the learning rate by `factor` after every `patience` validations without a lower loss."""
        if loss < self.best_loss:
            self.best_loss, self.stale_loss = loss, 0
            return
        self.stale_loss += 1
        if self.stale_loss == patience:
            self.lr_factor, self.stale_loss = self.lr_factor * factor, 0

    def note_scaled(self) -> None:
        """Double the loss scale after `GROW_AFTER` updates (dynamic loss scaling, Micikevicius et al. 2018)."""
        self.scaled_updates += 1
        if self.scaled_updates == GROW_AFTER:
            self.loss_scale, self.scaled_updates = self.loss_scale * 2, 0

    def note_overflow(self) -> bool:
        """Halve the loss scale and return True; return False if it is 1 already and so not the cause."""
        self.scaled_updates = 0
        if self.loss_scale == 1:
            return False
        self.loss_scale = max(1.0, self.loss_scale / 2)
        return True

    def note_validation(self, loss: float, bleu: float) -> bool:
        """Add a validation to the history; return whether its BLEU is the highest so far."""
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


class Divergence:
    """Detects a training loss that grows. Not part of a checkpoint: after a resume, pass it the history again."""

    def __init__(self) -> None:
        self._step = 0
        self._smoothed = self._lowest = math.inf
        self._lowest_step = 0
        self._warned = False

    def note(self, step: int, loss: float, lr: float, checkpoints: Iterable[int] = ()) -> str | None:
        """Add the mean loss since the last call, in nats per token; return a warning if the loss diverges.

        There is one warning per episode. It names the newest of the steps `checkpoints` from before the loss began to
        grow. A loss that is not finite counts as infinite.
        """
        if math.isfinite(self._smoothed) and math.isfinite(loss):
            old = math.exp(-(step - self._step) / HORIZON)
            self._smoothed = old * self._smoothed + (1 - old) * loss
        else:
            self._smoothed = loss if math.isfinite(loss) else math.inf
        self._step = step
        if self._smoothed <= self._lowest:
            self._lowest, self._lowest_step = self._smoothed, step
        rise = self._smoothed - self._lowest
        if rise < OVER:
            self._warned = False
        if self._warned or not rise > RISE:
            return None
        self._warned = True
        good = max((each for each in checkpoints if each <= self._lowest_step), default=None)
        kept = (
            "there is no checkpoint from before"
            if good is None
            else f"the last checkpoint from before is that of step {good}"
        )
        return (
            f"the training loss diverges: {self._smoothed:.2f} nats per token, {rise:.1f} above its minimum (about "
            f"step {self._lowest_step}), at learning rate {lr:.2g}; {kept}. Lower train.lr, lengthen "
            "train.warmup_steps, or set train.clip_norm to 1"
        )
