from pathlib import Path

import pytest
import torch

from seqloom.batching.store import TokenStore, TokenWriter
from seqloom.errors import TrainingError
from seqloom.models.catalogue import build_model, weights
from seqloom.training import batch_size
from seqloom.training.batch_size import FINENESS, largest_batch
from seqloom.training.device import Placement
from seqloom.training.settings import TrainSettings
from tests.records import model_settings

CPU = Placement(torch.device("cpu"), "fp32")


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    """64,000 tokens per side: 100 updates per epoch at 640 tokens, but the smallest size that is tried is 1,024."""
    with TokenWriter(tmp_path / "tokens", 24, 24) as writer:
        for _ in range(16_000):
            writer.add([5, 6, 7, 8], [8, 7, 6, 5])
    return TokenStore.open(tmp_path / "tokens")


def tokens_that_fit(store: TokenStore, settings: TrainSettings) -> int:
    sizes = {"width": 16, "feed_forward": 32, "heads": 2, "encoder_layers": 1, "decoder_layers": 1}
    model = build_model(model_settings("transformer", 0.1, "all", **sizes).architecture, 24, 24)
    before = {name: tensor.clone() for name, tensor in weights(model).items()}
    found = batch_size.tokens_that_fit(model, store, settings, CPU)
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(model).items())
    return found


def test_with_enough_memory_the_updates_per_epoch_limit_the_batch(
    store: TokenStore, train_settings: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tokens_that_fit(store, train_settings) == 1024
    monkeypatch.setattr(batch_size, "UPDATES", 10)
    assert tokens_that_fit(store, train_settings) == 6400


def test_on_a_cpu_only_a_share_of_the_memory_is_used(
    store: TokenStore, train_settings: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_size, "UPDATES", 1)
    peaks = iter([0, *(1024 * 1000 * 2**n for n in range(20))])  # a thousand bytes per token
    monkeypatch.setattr(batch_size, "_peak", lambda: next(peaks))
    monkeypatch.setattr(batch_size, "_free", lambda: 10_000_000)
    assert tokens_that_fit(store, train_settings) == 4096 + 512


@pytest.mark.parametrize("limit", [1, 7, 100, 1000, 1024, 1025, 5000, 65535])
@pytest.mark.parametrize("start", [1, 64, 1024, 4096])
def test_the_result_fits_and_is_nearly_the_largest(limit: int, start: int) -> None:
    tried: list[int] = []

    def fits(size: int) -> bool:
        tried.append(size)
        return size <= limit

    found = largest_batch(fits, start=start, most=1 << 20)
    assert found in tried
    assert found <= limit <= found + max(1, found // FINENESS)
    assert len(tried) == len(set(tried)) <= 25
    assert max(tried) <= max(start, 2 * limit)  # no size far above the limit is tried


def test_sizes_above_the_maximum_are_not_tried() -> None:
    tried: list[int] = []
    assert largest_batch(lambda size: not tried.append(size), start=64, most=1000) == 1000
    assert largest_batch(lambda size: not tried.append(size), start=4096, most=1000) == 1000
    assert max(tried) == 1000


def test_an_error_if_nothing_fits() -> None:
    with pytest.raises(TrainingError, match="not even a batch of one pair fits"):
        largest_batch(lambda size: False, start=1024, most=4096)
