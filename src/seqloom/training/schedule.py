"""The learning rate as a function of a run's progress, so that resuming needs no state for it.

A run is limited by steps, epochs or minutes, or several of them. Schedules that decay to zero do so at the limit that
is reached first. The rate has no jumps, neither at the end of the warm-up nor when another limit becomes the nearest.
"""

import math
from collections.abc import Iterator

from seqloom.training.settings import TrainSettings

WARMUP_SHARE = 0.5  # of max_minutes, after which the warm-up ends even before warmup_steps


def learning_rate(
    settings: TrainSettings, step: int, minutes: float = 0.0, factor: float = 1.0, epochs: float = 0.0
) -> float:
    """Return the learning rate of update `step`, counted from 1, after `minutes` and `epochs` of training.

    It rises linearly to `settings.lr` during the warm-up. Then `constant` keeps it; `inverse_sqrt` divides it by the
    square root of the step relative to the warm-up (Vaswani et al. 2017, section 5.3); `linear` and `cosine`
    (Loshchilov and Hutter 2017, without restarts) lower it to zero just after the last step, or at the end of the last
    epoch or minute; `plateau` multiplies it by `factor`, which the engine lowers if the validation loss stalls.
    """
    limit = math.inf if settings.max_minutes is None else WARMUP_SHARE * settings.max_minutes
    risen = max(step / max(settings.warmup_steps, 1), minutes / limit)
    if risen < 1:
        return settings.lr * risen
    match settings.schedule:
        case "constant":
            return settings.lr
        case "plateau":
            return settings.lr * factor
        case "inverse_sqrt":
            return settings.lr / math.sqrt(risen)
    # The warm-up's share of the run so far. Steps take about equally long, so it is the same in steps and minutes.
    warming = min(1.0, settings.warmup_steps / max(step - 1, 1), limit / minutes if minutes > limit else 1.0)
    left = 1 - max(
        1.0 if passed >= end else passed * (1 - warming) / (end - passed * warming)
        for passed, end in _bounds(settings, step - 1, minutes, epochs)
    )
    return settings.lr * (left if settings.schedule == "linear" else (1 - math.cos(math.pi * left)) / 2)


def share_done(settings: TrainSettings, steps: int, minutes: float = 0.0, epochs: float = 0.0) -> float:
    """Return the completed share of a run, 0 to 1, with respect to the nearest limit."""
    return min(1.0, max(passed / end for passed, end in _bounds(settings, steps, minutes, epochs)))


def _bounds(settings: TrainSettings, steps: int, minutes: float, epochs: float) -> Iterator[tuple[float, float]]:
    """Yield for each limit of the run the current value and the limit."""
    for passed, end in (
        (steps, settings.max_steps),
        (epochs, settings.max_epochs),
        (minutes, settings.max_minutes),
    ):
        if end is not None:
            yield passed, end
