"""The interface of all networks, which lets one engine train and one search decode any of them.

Shapes: B batch, S source tokens, T target tokens, D width, V vocabulary, K beams.

A network reads a target in two ways: `forward` reads a whole target at once (teacher forcing, for training); `step`
reads one token at a time and keeps its state in a `State` (for search). Both give the same results. The output layer is
separate (`output_weight`, `output_bias`): training fuses it with the loss, so that the logits of a batch are never held
as a whole.
"""

from abc import ABC, abstractmethod
from typing import Self

import torch
from torch import Tensor, nn

from seqloom.errors import ModelError


class State(ABC):
    """The state of a decoder between two steps: encoder memory and the targets read so far, one row per hypothesis.

    The rows of a source are consecutive, and every source has the same number of rows, so that a source's memory can be
    held once.
    """

    @abstractmethod
    def select(self, rows: Tensor) -> Self:
        """Return the state of the given rows (int64), in that order; rows may be repeated or left out.

        With a table (A, K), all rows of a line must belong to one source. With rows (n,), each becomes a separate
        source.
        """


class Seq2Seq(nn.Module, ABC):
    """A sequence-to-sequence network: maps source ids to distributions over the next target id."""

    source_vocab_size: int
    target_vocab_size: int
    source_embedding: nn.Embedding
    target_embedding: nn.Embedding  # the same object as `source_embedding` if the sides share a table

    @property
    def blocks(self) -> list[nn.Module]:
        """The layers whose weights sharded training gathers one at a time; each computes in a single call."""
        return []

    @property
    @abstractmethod
    def output_weight(self) -> Tensor:
        """The matrix (V, D) that maps a hidden vector to the logits of the target vocabulary."""

    @property
    @abstractmethod
    def output_bias(self) -> Tensor | None:
        """The bias (V,) of the logits, or None."""

    @abstractmethod
    def forward(self, source: Tensor, source_lengths: Tensor, target: Tensor) -> Tensor:
        """Return the hidden vectors (B, T, D) before the output layer, with teacher forcing.

        `source` (B, S) int64 is padded on the right, `source_lengths` is (B,) int64, and `target` (B, T) int64 starts
        with BOS and is padded on the right. Position t of the result depends on targets 0..t and the whole source, but
        not on padding.
        """

    @abstractmethod
    def start(self, source: Tensor, source_lengths: Tensor) -> State:
        """Read the sources (B, S) and return the state before the first target token, one row per source."""

    @abstractmethod
    def step(self, token: Tensor, state: State) -> tuple[Tensor, State]:
        """Read one target token per row, (rows,) int64.

        Returns the log-probabilities of the next token, (rows, V) fp32, and the new state.
        """

    def attention(self, source: Tensor, source_lengths: Tensor, target: Tensor) -> Tensor:
        """Return the attention (B, T, S) of each target position to each source position, for plots.

        The arguments are those of `forward`. Each row sums to one over the real source positions and is zero elsewhere.
        The network should be in evaluation mode; no gradient is computed.

        Raises:
            ModelError: the network has no attention.
        """
        raise ModelError(f"a network of type {type(self).__name__} has no attention to show")

    def log_probabilities(self, hidden: Tensor) -> Tensor:
        """Return the log-probabilities (..., V), fp32, of hidden vectors (..., D)."""
        logits = nn.functional.linear(hidden, self.output_weight, self.output_bias)
        scores = logits.float()
        if scores.requires_grad or scores.device.type != "cpu":
            return torch.log_softmax(scores, dim=-1)
        return torch.log_softmax(scores, dim=-1, out=scores)  # allocating the result takes 25% longer
