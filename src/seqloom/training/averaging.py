"""Averages of weights: a moving average over updates, and the mean over the snapshots of several validations.

Both serve the same purpose. `train.average` costs nothing while training and averages a few snapshots up to the best
one. `train.ema_decay` averages over every update, so validations already use averaged weights. Using both gains little:
with `ema_decay`, `average: 1` is recommended.
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

    After update n, counted from 0, the decay is min(decay, (1 + n) / (10 + n)). The rising decay forgets the untrained
    weights early and averages over about the last tenth of a short run; the bias correction of Kingma and Ba would
    weigh all weights of a short run alike.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        trained = {name: each for name, each in model.named_parameters() if each.requires_grad}
        self._weights: list[Tensor] = list(trained.values())
        self.tensors = {name: each.detach().clone() for name, each in trained.items()}

    @torch.no_grad()
    def update(self, updates: int) -> None:
        """Add the current weights; `updates` is the number of updates before the last one."""
        keep = min(self._decay, (1 + updates) / (10 + updates))
        torch._foreach_lerp_(list(self.tensors.values()), self._weights, 1 - keep)

    def restore(self, stored: dict[str, Tensor]) -> None:
        """Load an average that was stored from `tensors`."""
        for name, tensor in self.tensors.items():
            tensor.copy_(part_like(stored[name], tensor))

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the average into the model; on exit, restore the model's own weights bit for bit."""
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
    """Selects and averages the snapshots of past validations, which `checkpoints` stores."""

    def __init__(self, checkpoints: Checkpoints, most: int) -> None:
        self._checkpoints = checkpoints
        self._most = most

    def needed(self, steps: list[int], best_step: int) -> list[int]:
        """Return the steps of `steps` whose weights can still become part of the result."""
        return sorted({*self.up_to(best_step, steps), *steps[-self._most :]})

    def up_to(self, best_step: int, kept: list[int]) -> list[int]:
        """Return the steps to average: the last ones up to the best."""
        return [step for step in kept if step <= best_step][-self._most :]

    def mean(self, steps: list[int]) -> dict[str, Tensor]:
        """Return the mean of the weights of some steps, summed in fp64 (Vaswani et al. 2017, section 6.1).

        Raises:
            CheckpointError: a snapshot is missing or damaged.
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
