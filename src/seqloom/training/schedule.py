"""The learning rate as a function of the step alone, so that a resumed run needs no state for it."""

import math

from seqloom.training.settings import TrainSettings


def learning_rate(step: int, settings: TrainSettings) -> float:
    """The rate of the update number `step`, counted from 1.

    It rises linearly to `settings.lr` over the warm-up; then `inverse_sqrt` falls with the square root of the step
    (Vaswani et al. 2017, section 5.3), `linear` and `cosine` (Loshchilov and Hutter 2017, without restarts) fall to
    zero just after `max_steps`.
    """
    warmup = settings.warmup_steps
    if step <= warmup:
        return settings.lr * step / warmup
    if settings.schedule == "inverse_sqrt":
        return settings.lr * math.sqrt(max(warmup, 1) / step)
    left = max(0.0, 1 - (step - warmup - 1) / (settings.max_steps - warmup))
    if settings.schedule == "linear":
        return settings.lr * left
    return settings.lr * (1 - math.cos(math.pi * left)) / 2
