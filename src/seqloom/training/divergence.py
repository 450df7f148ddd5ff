"""Tells early, and once, that the loss of training grows instead of falling."""

import math
from collections.abc import Iterable

RISE = 1.0  # nats above its lowest from which a smoothed loss has left for good; noise stays far below
OVER = 0.5  # nats above its lowest at which an episode is over
HORIZON = 50  # updates that the smoothed loss looks back over, about


class Divergence:
    """Watches the reported losses of a run. It has no state of its own: after a resume, note the history again."""

    def __init__(self) -> None:
        self._step = 0
        self._smoothed = self._lowest = math.inf
        self._lowest_step = 0
        self._told = False

    def note(self, step: int, loss: float, lr: float, checkpoints: Iterable[int] = ()) -> str | None:
        """Take in the mean loss of the updates since the last call, in nats per token, and say if it diverges.

        The message comes once per episode; it names the newest of the steps in `checkpoints` that is from before the
        loss began to grow. A loss that is not finite counts as infinitely high.
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
            self._told = False
        if self._told or not rise > RISE:
            return None
        self._told = True
        good = max((each for each in checkpoints if each <= self._lowest_step), default=None)
        kept = "no checkpoint is older" if good is None else f"the last checkpoint from before is that of step {good}"
        return (
            f"the training loss diverges: {self._smoothed:.2f} nats per token, {rise:.1f} above its lowest (about step "
            f"{self._lowest_step}), at learning rate {lr:.2g}; {kept}. Lower train.lr, lengthen train.warmup_steps, or "
            "set train.clip_norm to 1"
        )
