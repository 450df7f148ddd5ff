"""Random numbers that do not depend on the number of processes: every share of a batch has its own stream of them.

Dropout draws from torch's global generators, so a process with several shares exchanges their states between two of
them. A share is thus computed alike by whichever process it falls to.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from seqloom.batching.batches import ProcessShare

States = dict[str, Tensor]
"""The states of the generators that training draws from, by kind of device."""


class Streams:
    """The random generators of the shares of this process; one of them is in torch's generators."""

    def __init__(self, device: torch.device, share: ProcessShare) -> None:
        self._device, self._share = device, share
        self._turn = 0
        self._states = [self._current() for _ in range(share.turns)]

    def seed(self, seed: int) -> None:
        """Start the stream of each share from `seed` plus its number."""
        first = self._share.rank
        seeds = range(seed + first, seed + first + self._share.turns * self._share.ranks, self._share.ranks)
        self._states = []
        for each in reversed(seeds):  # the first share last, whose stream is then in torch's generators
            torch.manual_seed(each)
            self._states.insert(0, self._current())
        self._turn = 0

    def use(self, turn: int) -> None:
        """Draw from the stream of the share of this turn from now on."""
        if turn != self._turn:
            self._states[self._turn] = self._current()
            self._apply(turn)

    def states(self) -> list[States]:
        """Return the states of all streams, one for each turn."""
        self._states[self._turn] = self._current()
        return list(self._states)

    def restore(self, states: list[States]) -> None:
        """Restore what `states` returned."""
        self._states = list(states)
        self._apply(0)

    def named(self, gather: Callable[[Tensor], list[Tensor]]) -> States:
        """Return the states of the shares of all processes by name, such as `cpu.3`, for a checkpoint.

        `gather` returns the tensors that all processes call it with, by rank.
        """
        named: States = {}
        for turn, states in enumerate(self.states()):
            for kind, state in states.items():
                for rank, each in enumerate(gather(state)):
                    named[f"{kind}.{rank + turn * self._share.ranks}"] = each
        return {name: state for name, state in named.items() if int(name.partition(".")[2]) < self._share.shares}

    def restore_named(self, states: States) -> None:
        """Restore the streams of this process's shares from those of all shares."""
        kinds = self._current()
        own = [{kind: states[f"{kind}.{share}"] for kind in kinds} for share in self._share.own]
        self.restore(own + self._states[len(own) :])

    def _current(self) -> States:
        states = {"cpu": torch.get_rng_state()}
        if self._device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self._device)
        return states

    def _apply(self, turn: int) -> None:
        torch.set_rng_state(self._states[turn]["cpu"])
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(self._states[turn]["cuda"], self._device)
        self._turn = turn
