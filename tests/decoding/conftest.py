"""A language model without a network: a table of random log-probabilities, looked up by source and tokens so far."""

import functools
from collections.abc import Callable
from typing import Self

import numpy as np
import pytest
import torch
from torch import Tensor


class TableState:
    """The tokens that each row has read, and the source that it translates."""

    def __init__(self, sources: list[int], prefixes: list[tuple[int, ...]]) -> None:
        self.sources = sources
        self.prefixes = prefixes

    def select(self, rows: Tensor) -> Self:
        picked = rows.tolist()
        return type(self)([self.sources[r] for r in picked], [self.prefixes[r] for r in picked])


class TableModel:
    """p(next | source, prefix) drawn once per prefix from (seed, source, prefix); `sharpness` scales the logits."""

    def __init__(self, seed: int, vocabulary: int, sharpness: float = 1.0) -> None:
        self.seed = seed
        self.vocabulary = vocabulary
        self.sharpness = sharpness
        self.rows_read = 0
        self.log_probabilities = functools.cache(self._log_probabilities)

    def _log_probabilities(self, source: int, prefix: tuple[int, ...]) -> Tensor:
        draw = np.random.default_rng([self.seed, source, *prefix])
        logits = torch.from_numpy(draw.normal(size=self.vocabulary) * self.sharpness)
        return torch.log_softmax(logits.float(), dim=0)

    def start(self, sources: list[int]) -> TableState:
        return TableState(sources, [()] * len(sources))

    def step(self, token: Tensor, state: TableState) -> tuple[Tensor, TableState]:
        self.rows_read += len(token)
        prefixes = [(*prefix, t) for prefix, t in zip(state.prefixes, token.tolist(), strict=True)]
        rows = [self.log_probabilities(s, p) for s, p in zip(state.sources, prefixes, strict=True)]
        return torch.stack(rows), TableState(state.sources, prefixes)


@pytest.fixture(scope="session")
def table_model() -> Callable[..., TableModel]:
    """Makes a `TableModel`."""
    return TableModel
