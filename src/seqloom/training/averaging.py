"""Averages of weights: a moving one over the updates, and the mean of those that validations left on the disk.

They are two ways to one end. `train.average` costs nothing while training and looks at a few validations up to the best
one; `train.ema_decay` smooths every update, so that each validation already sees averaged weights. Averaging the moving
average again is possible and gains little: with `ema_decay` set, `average: 1` is recommended.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from seqloom.models.catalogue import weights
from seqloom.training.checkpoint import Checkpoints
from seqloom.training.sharding import part_like


class MovingAverage:
    """An exponential moving average of the trained weights (Polyak and Juditsky 1992; Kingma and Ba 2015, section 7.2).

    After update n, counted from 0, it keeps min(decay, (1 + n) / (10 + n)) of itself and takes the rest from the
    weights. The rising share makes it forget the first, untrained weights early and look back over about the last tenth
    of a run that is short; the correction of Kingma and Ba, which weighs a short run's weights all alike, does not.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        trained = {name: each for name, each in model.named_parameters() if each.requires_grad}
        self._weights: list[Tensor] = list(trained.values())
        self.tensors = {name: each.detach().clone() for name, each in trained.items()}

    @torch.no_grad()
    def update(self, updates: int) -> None:
        """Take in the weights after an update, before which there were `updates`."""
        keep = min(self._decay, (1 + updates) / (10 + updates))
        torch._foreach_lerp_(list(self.tensors.values()), self._weights, 1 - keep)

    def restore(self, stored: dict[str, Tensor]) -> None:
        """Go on from an average that was stored as `tensors`."""
        for name, tensor in self.tensors.items():
            tensor.copy_(part_like(stored[name], tensor))

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the average into the model; its own weights come back at the end, bit for bit."""
        own = [each.detach().clone() for each in self._weights]
        _copy(self.tensors.values(), self._weights)
        try:
            yield
        finally:
            _copy(own, self._weights)


@torch.no_grad()
def _copy(sources: Iterable[Tensor], targets: Iterable[Tensor]) -> None:
    for source, target in zip(sources, targets, strict=True):
        target.copy_(source)


class Snapshots:
    """Which weights of past validations can still be part of the result; `checkpoints` hold them."""

    def __init__(self, checkpoints: Checkpoints, most: int) -> None:
        self._checkpoints = checkpoints
        self._most = most

    def needed(self, steps: list[int], best_step: int) -> list[int]:
        """Those of the validated steps whose weights a result can still hold."""
        return sorted({*self.up_to(best_step, steps), *steps[-self._most :]})

    def up_to(self, best_step: int, kept: list[int]) -> list[int]:
        """The steps that the result is made of: the last ones up to the best."""
        return [step for step in kept if step <= best_step][-self._most :]

    def mean(self, steps: list[int]) -> dict[str, Tensor]:
        """The mean of the weights of some steps, summed in fp64 (averaging: Vaswani et al. 2017, section 6.1).

        Raises:
            CheckpointError: the weights of a step are not what was written.
        """
        total: dict[str, Tensor] = {}
        for step in steps:
            for name, tensor in self._checkpoints.snapshot(step).items():
                total[name] = total[name] + tensor.double() if name in total else tensor.double()
        return {name: (tensor / len(steps)).float() for name, tensor in total.items()}


def load_into(model: nn.Module, stored: dict[str, Tensor]) -> None:
    """Copy weights by name into a network of the same shape."""
    for name, tensor in weights(model).items():
        tensor.copy_(part_like(stored[name], tensor))
