"""A language model without a network, a network that copies its source, and a tokenizer for both."""

import functools
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import pytest
import torch
from torch import Tensor

from seqloom.models.catalogue import build_model
from seqloom.models.seq2seq import Seq2Seq, State
from seqloom.symbols import SPECIAL_IDS
from seqloom.tokenization.catalogue import train_tokenizer
from seqloom.tokenization.tokenizer import Tokenizer
from tests.records import model_settings, tokenizer_settings

TEXTS = ["the light is on", "off", "set {name} to %s now", "a b c d e f g h", "", "the end", "  \t ", "{name}"]


class TableState:
    """The source of each row, and the tokens that it has read."""

    def __init__(self, sources: list[int], prefixes: list[tuple[int, ...]]) -> None:
        self.sources = sources
        self.prefixes = prefixes

    def select(self, rows: Tensor) -> Self:
        picked = rows.flatten().tolist()
        return type(self)([self.sources[r] for r in picked], [self.prefixes[r] for r in picked])


class TableModel:
    """p(next | source, prefix), drawn from (seed, source, prefix); `sharpness` scales the logits."""

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


class CopyState(State):
    def __init__(self, source: Tensor, position: int) -> None:
        self.source, self.position = source, position

    def select(self, rows: Tensor) -> Self:
        return type(self)(self.source[rows.flatten()], self.position)


class CopyModel(Seq2Seq):
    """Copies its source, then ends, unless it is `endless`. Records the shapes of its batches."""

    def __init__(self, vocabulary: int, endless: bool = False) -> None:
        super().__init__()
        self.source_vocab_size = self.target_vocab_size = vocabulary
        self.endless = endless
        self.batches: list[tuple[int, ...]] = []

    @property
    def output_weight(self) -> Tensor:
        raise NotImplementedError

    @property
    def output_bias(self) -> Tensor:
        raise NotImplementedError

    def forward(self, source: Tensor, source_lengths: Tensor, target: Tensor) -> Tensor:
        raise NotImplementedError

    def start(self, source: Tensor, source_lengths: Tensor) -> CopyState:
        self.batches.append(tuple(source.shape))
        assert not self.training
        assert ((source == SPECIAL_IDS.pad).sum(dim=1) == source.shape[1] - source_lengths).all()
        return CopyState(torch.cat([source, torch.full((len(source), 1), SPECIAL_IDS.pad)], dim=1), 0)

    def step(self, token: Tensor, state: State) -> tuple[Tensor, CopyState]:
        assert isinstance(state, CopyState)
        at = min(state.position, state.source.shape[1] - 1)
        after = 9 if self.endless else SPECIAL_IDS.eos
        wanted = state.source[:, at].masked_fill(state.source[:, at] == SPECIAL_IDS.pad, after)
        logits = torch.zeros(len(token), self.target_vocab_size)
        logits[torch.arange(len(token)), wanted] = 20.0
        return torch.log_softmax(logits, dim=1), CopyState(state.source, state.position + 1)


@pytest.fixture(scope="session")
def table_model() -> Callable[..., TableModel]:
    """The class `TableModel`."""
    return TableModel


@pytest.fixture(scope="session")
def copy_model() -> Callable[..., CopyModel]:
    """The class `CopyModel`."""
    return CopyModel


def characters(*languages: str) -> Tokenizer:
    """Train a tokenizer on the characters of `TEXTS`."""
    settings = tokenizer_settings(
        name="characters", vocab_size=64, joint=True, max_training_lines=100, slots=4, max_length=64
    )
    return train_tokenizer(settings, lambda: [(text, text) for text in TEXTS], 1, lambda progress: None, languages)


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """A tokenizer for a single target language."""
    return characters()


@pytest.fixture(scope="session")
def tokenizer_of_two() -> Tokenizer:
    """A tokenizer for German and French."""
    return characters("de", "fr")


SECTION = {"width": 32, "feed_forward": 32, "heads": 2, "encoder_layers": 1, "decoder_layers": 1}
ARCHITECTURE = model_settings("transformer", 0.5, "all", **SECTION).architecture


@pytest.fixture(scope="session")
def make_network() -> Callable[..., Seq2Seq]:
    """Returns a function that makes a network with weights so large that sources get different targets."""

    def make(vocabulary: int, seed: int = 3, architecture: Any = ARCHITECTURE) -> Seq2Seq:
        torch.manual_seed(seed)
        model = build_model(architecture, vocabulary, vocabulary)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.4)
        return model.eval()

    return make
