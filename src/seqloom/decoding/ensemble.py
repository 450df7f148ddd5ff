"""Ensembles, which average the probabilities of several models (Sutskever et al. 2014, Luong et al. 2015).

An ensemble has the methods `start` and `step` of a network, so that every search can use it like one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from seqloom.decoding.step import StepFunction
from seqloom.errors import ModelError
from seqloom.models.seq2seq import Seq2Seq, State


@dataclass(frozen=True)
class EnsembleState(State):
    """The states of the members, in order."""

    members: tuple[State, ...]

    def select(self, rows: Tensor) -> Self:
        """See `State.select`."""
        return type(self)(tuple(member.select(rows) for member in self.members))


def mean_of_probabilities(steps: Sequence[StepFunction[State]]) -> StepFunction[State]:
    """Return a step function over `EnsembleState` whose probabilities are the mean of those of `steps`."""

    def step(token: Tensor, state: State) -> tuple[Tensor, State]:
        assert isinstance(state, EnsembleState)
        total, first = steps[0](token, state.members[0])
        after = [first]
        for each, before in zip(steps[1:], state.members[1:], strict=True):
            log_probabilities, following = each(token, before)
            total = torch.logaddexp(total, log_probabilities)
            after.append(following)
        return total - math.log(len(steps)), EnsembleState(tuple(after))

    return step


class Ensemble(nn.Module):
    """Networks with the same vocabularies, searched as one.

    Raises:
        ModelError: the vocabularies differ in size.
    """

    def __init__(self, members: Sequence[Seq2Seq]) -> None:
        super().__init__()
        sizes = [(member.source_vocab_size, member.target_vocab_size) for member in members]
        if len(set(sizes)) != 1:
            listed = ", ".join(f"{source} and {target}" for source, target in sizes)
            raise ModelError(f"the models of an ensemble must share their vocabularies, but these have sizes {listed}")
        self._networks = list(members)
        self.members = nn.ModuleList(members)  # registers them, so that `to` and `eval` reach them
        self.source_vocab_size, self.target_vocab_size = sizes[0]
        self.max_source_length = _least(members, "max_source_length")
        self.max_target_length = _least(members, "max_target_length")
        self._step = mean_of_probabilities([member.step for member in members])

    def start(self, source: Tensor, source_lengths: Tensor) -> State:
        """Read the sources (B, S) and return the state before the first target token, one row per source."""
        return EnsembleState(tuple(member.start(source, source_lengths) for member in self._networks))

    def step(self, token: Tensor, state: State) -> tuple[Tensor, State]:
        """Read one target token per row, (rows,) int64: see `Seq2Seq.step`."""
        return self._step(token, state)

    def attention(self, source: Tensor, source_lengths: Tensor, target: Tensor) -> Tensor:
        """Return the mean attention (B, T, S) of the members: see `Seq2Seq.attention`."""
        return torch.stack([member.attention(source, source_lengths, target) for member in self._networks]).mean(dim=0)


def _least(members: Sequence[Seq2Seq], limit: str) -> int | None:
    limits = [getattr(member, limit, None) for member in members]
    return min((each for each in limits if each is not None), default=None)
