import pytest

from seqloom.training.settings import TrainSettings


@pytest.fixture
def train_settings() -> TrainSettings:
    return TrainSettings(
        seed=1, device="cpu", precision="fp32", optimizer="adamw", lr=3e-3, schedule="inverse_sqrt", warmup_steps=5,
        adam_betas=(0.9, 0.98), weight_decay=0.01, label_smoothing=0.1, clip_norm=1.0, tokens_per_batch=64,
        accumulate=1, max_steps=24, max_epochs=None, max_minutes=None, report_every=3, validate_every=6,
        validation_segments=10, patience=None, average=2, checkpoint_every=4, keep_checkpoints=2,
    )  # fmt: skip
