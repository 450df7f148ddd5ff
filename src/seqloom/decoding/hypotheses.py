"""Hypotheses, and the finished ones of a search, which stay on the device until their source is done."""

from typing import NamedTuple

import torch
from torch import Tensor

from seqloom.errors import EvaluationError


class Hypothesis(NamedTuple):
    """A finished target: its ids without EOS, the score that ranks it, and its log-probability including EOS."""

    ids: list[int]
    score: float
    log_probability: float


class FinishedHypotheses(NamedTuple):
    """The n best finished hypotheses of each of the A active sources, best first; missing ones have a score of -inf."""

    scores: Tensor  # (A, n) float64
    log_probabilities: Tensor  # (A, n) float64
    lengths: Tensor  # (A, n) int64, without EOS
    ids: Tensor  # (A, n, longest) int64

    def select(self, sources: Tensor) -> "FinishedHypotheses":
        """Return the hypotheses of the given sources (int64 indices), in that order."""
        return FinishedHypotheses(*[part[sources] for part in self])

    def add(self, scores: Tensor, log_probabilities: Tensor, ids: Tensor) -> "FinishedHypotheses":
        """Add candidates (A, K) with ids (A, K, t) and keep the n best; in a tie the earlier one ranks higher."""
        slots, length = self.scores.shape[1], ids.shape[2]
        ids = torch.nn.functional.pad(ids, (0, self.ids.shape[2] - length))
        together = FinishedHypotheses(
            torch.cat([self.scores, scores], dim=1),
            torch.cat([self.log_probabilities, log_probabilities], dim=1),
            torch.cat([self.lengths, torch.full_like(scores, length, dtype=torch.int64)], dim=1),
            torch.cat([self.ids, ids], dim=1),
        )
        best = together.scores.sort(dim=1, descending=True, stable=True).indices[:, :slots]
        wide = best.unsqueeze(-1).expand(-1, -1, self.ids.shape[2])
        narrow = (together.scores.gather(1, best), together.log_probabilities.gather(1, best))
        return FinishedHypotheses(*narrow, together.lengths.gather(1, best), together.ids.gather(1, wide))

    def hypotheses(self) -> list[list[Hypothesis]]:
        """Return the hypotheses of each source as plain lists."""
        columns = (self.ids.tolist(), self.lengths.tolist(), self.scores.tolist(), self.log_probabilities.tolist())
        return [
            [Hypothesis(i[:n], score, logp) for i, n, score, logp in zip(*row, strict=True) if score != -torch.inf]
            for row in zip(*columns, strict=True)
        ]

    def hand_over(self, rows: list[int], results: list[list[Hypothesis]], rows_per_source: int = 1) -> None:
        """Store the hypotheses of each source in `results` at its row.

        Raises:
            EvaluationError: a source has none.
        """
        for row, hypotheses in zip(rows, self.hypotheses(), strict=True):
            if not hypotheses:
                source = row // rows_per_source
                raise EvaluationError(
                    f"source {source} of the batch: the model gives every possible target probability 0"
                )
            results[row] = hypotheses
