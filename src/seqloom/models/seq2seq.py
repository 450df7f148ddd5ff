"""The contract that every network keeps, so that one engine trains and one search decodes them all.

Shapes: B batch, S source tokens, T target tokens, D width, V vocabulary, K beams.

A network has two ways to read a target. `forward` reads a whole target at once (teacher forcing, for training); `step`
reads one token a time and keeps what it must remember in a `State` (for search). Both give the same numbers.
The output layer is apart (`output_weight`, `output_bias`): training fuses it with the loss, so that the logits of a
batch never exist as a whole.
"""

from abc import ABC, abstractmethod
from typing import Self

import torch
from torch import Tensor, nn

from seqloom.errors import ModelError


class State(ABC):
    """What a decoder remembers between two steps: encoder memory and its own past, for a row per hypothesis.

    Rows of one source stand together, and each source has as many: what belongs to the source is kept once.
    """

    @abstractmethod
    def select(self, rows: Tensor) -> Self:
        """Return the state of the given rows, int64, any number of them, repeats allowed, in that order.

        The rows in a line of a table (A, K) must be of one source; of rows (n,) each stands for itself from then on.
        """


class Seq2Seq(nn.Module, ABC):
    """A sequence-to-sequence network: source ids in, a distribution over the next target id out."""

    source_vocab_size: int
    target_vocab_size: int
    source_embedding: nn.Embedding
    target_embedding: nn.Embedding  # the same object as `source_embedding` where both sides share a table

    @property
    def blocks(self) -> list[nn.Module]:
        """Layers that compute in one call each: weights that processes share out are gathered for one at a time."""
        return []

    @property
    @abstractmethod
    def output_weight(self) -> Tensor:
        """(V, D): maps a hidden vector to the logits of the target vocabulary."""

    @property
    @abstractmethod
    def output_bias(self) -> Tensor | None:
        """(V,), or None."""

    @abstractmethod
    def forward(self, source: Tensor, source_lengths: Tensor, target: Tensor) -> Tensor:
        """Teacher forcing: hidden vectors (B, T, D) before the output layer.

        `source` (B, S) int64 padded on the right, `source_lengths` (B,) int64, `target` (B, T) int64 starts with BOS
        and is padded on the right. Position t of the result has seen targets 0..t and the whole source, no padding.
        """

    @abstractmethod
    def start(self, source: Tensor, source_lengths: Tensor) -> State:
        """Read the sources (B, S) and return the state before the first target token, a row per source."""

    @abstractmethod
    def step(self, token: Tensor, state: State) -> tuple[Tensor, State]:
        """Read one target token per row, (rows,) int64.

        Returns the log-probabilities of the next one, (rows, V) fp32, and the state after this one.
        """

    def attention(self, source: Tensor, source_lengths: Tensor, target: Tensor) -> Tensor:
        """How much each target position looks at each source position, (B, T, S), for pictures.

        Arguments as in `forward`. Each row sums to one over the real source positions and is zero elsewhere. Ask in
        evaluation mode; no gradient passes.

        Raises:
            ModelError: the network has no attention.
        """
        raise ModelError(f"a network of the family {type(self).__name__} has no attention to show")

    def log_probabilities(self, hidden: Tensor) -> Tensor:
        """Log-probabilities (..., V) in fp32 of hidden vectors (..., D)."""
        logits = nn.functional.linear(hidden, self.output_weight, self.output_bias)
        scores = logits.float()
        if scores.requires_grad or scores.device.type != "cpu":
            return torch.log_softmax(scores, dim=-1)
        return torch.log_softmax(scores, dim=-1, out=scores)  # new memory would take a quarter more time
