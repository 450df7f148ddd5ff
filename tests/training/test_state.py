import math
import random

import pytest

from seqloom.training.state import Divergence


def warnings(losses: list[float], every: int = 1, checkpoints: tuple[int, ...] = ()) -> list[tuple[int, str]]:
    divergence = Divergence()
    steps = [every * number for number in range(1, len(losses) + 1)]
    found = [(step, divergence.note(step, loss, 4e-3, checkpoints)) for step, loss in zip(steps, losses, strict=True)]
    return [(step, message) for step, message in found if message is not None]


def falling(updates: int) -> list[float]:
    return [2 + 7 * math.exp(-step / 200) for step in range(updates)]


@pytest.mark.parametrize("every", [1, 10, 50, 500])
def test_no_warning_for_a_noisy_loss_that_falls(every: int) -> None:
    draw = random.Random(1)
    noise = 0.6 / math.sqrt(every)
    assert warnings([loss + draw.gauss(0, noise) for loss in falling(3000)[::every]], every) == []


def test_one_early_warning_names_the_remedies() -> None:
    grown = [5.0] * 30 + [8.0] * 100
    (only,) = warnings(falling(600) + grown, checkpoints=(200, 400, 600, 650))
    step, message = only
    assert 600 < step <= 650
    for part in ("1.0 above", "learning rate 0.004", "step 600", "train.lr", "train.warmup_steps", "train.clip_norm"):
        assert part in message


def test_means_of_many_updates_give_a_warning_at_once() -> None:
    ((step, message),) = warnings([6.0, 4.0, 3.5, 9.0, 9.0, 9.0], every=500)
    assert step == 2000
    assert "about step 1500" in message
    assert "there is no checkpoint from before" in message


def test_a_second_episode_gives_another_warning() -> None:
    episode = [7.0] * 5 + [3.0] * 10
    assert len(warnings([3.0] * 10 + episode + episode, every=50)) == 2
    assert (
        len(warnings([3.0] * 10 + [7.0] * 20 + [4.2] * 5 + [7.0] * 5, every=50)) == 1
    )  # the first episode never ended


@pytest.mark.parametrize("loss", [math.inf, math.nan])
def test_a_loss_that_is_not_finite_gives_a_warning_and_resets(loss: float) -> None:
    messages = warnings([3.0, loss, 3.0, 3.0, 7.0, 7.0], every=100)
    assert [step for step, _ in messages] == [200, 500]


def test_after_replaying_the_history_the_warnings_are_the_same() -> None:
    losses = falling(100) + [9.0] * 100
    through, again = Divergence(), Divergence()
    first = [through.note(step, loss, 1e-3) for step, loss in enumerate(losses, 1)]
    for step, loss in enumerate(losses[:120], 1):
        again.note(step, loss, 1e-3)
    assert [again.note(step, loss, 1e-3) for step, loss in enumerate(losses[120:], 121)] == first[120:]
