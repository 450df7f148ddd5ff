"""The learning rate as a function of how far a run is, so that a resumed run needs no state for it.

A run is bounded by steps, epochs or minutes, or by several of them; what decays to zero does so at the bound that comes
first. The rate is continuous: where the warm-up ends, and where another bound becomes the nearest.
"""

import math
from collections.abc import Iterator

from seqloom.training.settings import TrainSettings

WARMUP_SHARE = 0.5  # of max_minutes, after which the warm-up is over even if steps of it are left


def learning_rate(
    settings: TrainSettings, step: int, minutes: float = 0.0, factor: float = 1.0, epochs: float = 0.0
) -> float:
    """The rate of the update number `step`, counted from 1, before which `minutes` and `epochs` of training passed.

    It rises linearly to `settings.lr` over the warm-up. Then `constant` stays there; `inverse_sqrt` falls with the
    square root of the step (Vaswani et al. 2017, section 5.3); `linear` and `cosine` (Loshchilov and Hutter 2017,
    without restarts) fall to zero just after the last step, or when the last epoch or minute is over; `plateau` is
    `factor` times the peak, a factor that whoever watches the validation loss lowers.
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
    # Of what has passed, the warm-up's share; steps take about equally long, so that it is one in steps and minutes.
    warming = min(1.0, settings.warmup_steps / max(step - 1, 1), limit / minutes if minutes > limit else 1.0)
    left = 1 - max(
        1.0 if passed >= end else passed * (1 - warming) / (end - passed * warming)
        for passed, end in _bounds(settings, step - 1, minutes, epochs)
    )
    return settings.lr * (left if settings.schedule == "linear" else (1 - math.cos(math.pi * left)) / 2)


def share_done(settings: TrainSettings, steps: int, minutes: float = 0.0, epochs: float = 0.0) -> float:
    """How much of the way to the nearest bound a run has gone after so many steps, minutes and epochs: 0 to 1."""
    return min(1.0, max(passed / end for passed, end in _bounds(settings, steps, minutes, epochs)))


def _bounds(settings: TrainSettings, steps: int, minutes: float, epochs: float) -> Iterator[tuple[float, float]]:
    """What has passed, and where it ends the run."""
    for passed, end in (
        (steps, settings.max_steps),
        (epochs, settings.max_epochs),
        (minutes, settings.max_minutes),
    ):
        if end is not None:
            yield passed, end
