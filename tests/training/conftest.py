from pathlib import Path

import pytest

from seqloom.batching.store import TokenStore
from seqloom.training.settings import TrainSettings
from tests import records
from tests.training.runs import Run, write_store


@pytest.fixture
def train_settings() -> TrainSettings:
    return records.train_settings(
        seed=1, device="cpu", precision="fp32", optimizer="adamw", lr=3e-3, schedule="inverse_sqrt", warmup_steps=5,
        weight_decay=0.01, tokens_per_batch=64, max_steps=24, report_every=3, validate_every=6, validation_segments=10,
        patience=None, average=2, checkpoint_every=4, keep_checkpoints=2,
    )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    return write_store(tmp_path / "tokens")


@pytest.fixture
def run(store: TokenStore, train_settings: TrainSettings, tmp_path: Path) -> Run:
    return Run(store, train_settings, tmp_path)
