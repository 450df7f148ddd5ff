import pytest

from seqloom.training.schedule import learning_rate
from seqloom.training.settings import TrainSettings


def test_rises_linearly_and_falls_with_the_square_root(train_settings: TrainSettings) -> None:
    settings = train_settings.model_copy(update={"lr": 1.0, "warmup_steps": 4, "schedule": "inverse_sqrt"})
    assert [learning_rate(settings, step) for step in (1, 2, 4, 16, 64)] == pytest.approx([0.25, 0.5, 1, 0.5, 0.25])


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_falls_to_almost_nothing_at_the_last_step(train_settings: TrainSettings, schedule: str) -> None:
    settings = train_settings.model_copy(
        update={"lr": 1.0, "warmup_steps": 10, "max_steps": 1000, "schedule": schedule}
    )
    rates = [learning_rate(settings, step) for step in range(1, 1001)]
    assert max(rates) == 1.0
    assert rates[9] == rates[10] == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 0.002
    assert rates[505] == pytest.approx(0.5, abs=0.01)


def test_without_warm_up_the_first_step_has_the_full_rate(train_settings: TrainSettings) -> None:
    settings = train_settings.model_copy(update={"lr": 0.5, "warmup_steps": 0, "schedule": "inverse_sqrt"})
    assert learning_rate(settings, 1) == 0.5
