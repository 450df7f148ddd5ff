from pathlib import Path

import pytest
import torch

from seqloom.batching.store import TokenStore, TokenWriter
from seqloom.models.catalogue import build_model, weights
from seqloom.training import memory
from seqloom.training.device import Placement
from seqloom.training.settings import TrainSettings
from tests.records import model_settings

CPU = Placement(torch.device("cpu"), "fp32")


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    """64,000 tokens on each side: 100 updates an epoch with 640 tokens, of which 1,024 are tried at the least."""
    with TokenWriter(tmp_path / "tokens", 24, 24) as writer:
        for _ in range(16_000):
            writer.add([5, 6, 7, 8], [8, 7, 6, 5])
    return TokenStore.open(tmp_path / "tokens")


def tokens_that_fit(store: TokenStore, settings: TrainSettings) -> int:
    sizes = {"width": 16, "feed_forward": 32, "heads": 2, "encoder_layers": 1, "decoder_layers": 1}
    model = build_model(model_settings("transformer", 0.1, "all", **sizes).architecture, 24, 24)
    before = {name: tensor.clone() for name, tensor in weights(model).items()}
    found = memory.tokens_that_fit(model, store, settings, CPU)
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(model).items())
    return found


def test_with_memory_enough_an_epoch_has_updates_enough(
    store: TokenStore, train_settings: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tokens_that_fit(store, train_settings) == 1024
    monkeypatch.setattr(memory, "UPDATES", 10)
    assert tokens_that_fit(store, train_settings) == 6400


def test_a_cpu_is_not_filled_beyond_its_share(
    store: TokenStore, train_settings: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "UPDATES", 1)
    peaks = iter([0, *(1024 * 1000 * 2**n for n in range(20))])  # a thousand bytes a token
    monkeypatch.setattr(memory, "_peak", lambda: next(peaks))
    monkeypatch.setattr(memory, "_free", lambda: 10_000_000)
    assert tokens_that_fit(store, train_settings) == 4096 + 512
