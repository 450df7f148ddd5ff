"""A real host with two workers; the model is tiny and untrained."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from seqloom.errors import ModelError, RequestError, TooLongError
from seqloom.languages import Direction
from seqloom.serving.engine_pool import EnginePool, Workers
from seqloom.serving.trials import TRIALS, check_trials

EN_DE = Direction("en", "de")
TEXTS = ["Turn on the light {name}", "off"]


class Lost:
    """Counts the workers that ended."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


@pytest.fixture(scope="module")
def lost() -> Lost:
    return Lost()


@pytest.fixture(scope="module")
def pool(registry: Path, lost: Lost) -> Iterator[EnginePool]:
    folder = next((registry / "mlartifacts").rglob("artifacts/artifacts/model"))
    pool = EnginePool(folder, Workers(2, 1), False, lost)
    yield pool
    host = pool._host.process
    pool.close()
    assert host.returncode == 0
    with pytest.raises(ModelError, match="was replaced"):
        pool.translate(TEXTS, EN_DE, 1)


def translated(pool: EnginePool) -> list[list[str]]:
    return [[each.text for each in found] for found in pool.translate(TEXTS, EN_DE, 2)]


def test_both_workers_translate_the_same(pool: EnginePool) -> None:
    assert (pool.lanes, pool.directions) == (2, (EN_DE,))
    assert len(set(pool.processes)) == 2
    first, second = translated(pool), translated(pool)
    assert first == second
    assert all("{name}" in text for text in first[0])
    check_trials(EN_DE, pool.translate(TRIALS, EN_DE, 1))


def test_a_worker_killed_under_load_is_replaced_and_no_call_fails(pool: EnginePool, lost: Lost) -> None:
    expected, before, first = translated(pool), set(pool.processes), lost.count
    killed, answered = before.copy(), threading.Semaphore(0)

    def many() -> list[list[list[str]]]:
        found = []
        for _ in range(20):
            found.append(translated(pool))
            answered.release()
        return found

    with ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(many) for _ in range(2)]
        for number in killed:
            for _ in range(8):
                answered.acquire()
            os.kill(number, signal.SIGKILL)
        found = [each for call in calls for each in call.result(60)]
    assert found == [expected] * 40
    assert lost.count == first + 2
    assert len(pool.processes) == 2
    assert before.isdisjoint(pool.processes)


def test_a_host_that_was_killed_is_started_again_when_a_worker_ends(pool: EnginePool) -> None:
    expected, host = translated(pool), pool._host.process
    host.kill()
    host.wait()
    assert translated(pool) == expected  # the workers go on
    for number in pool.processes:
        os.kill(number, signal.SIGKILL)
    assert translated(pool) == expected
    assert pool._host.process.pid != host.pid


def test_errors_of_the_model_are_raised_here(pool: EnginePool) -> None:
    with pytest.raises(ModelError, match="the model does not write 'fr'; it writes de"):
        pool.translate(["x"], Direction("en", "fr"), 1)
    assert len(pool.processes) == 2


@pytest.mark.slow
def test_a_folder_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"languages\.json is missing"):
        EnginePool(tmp_path, Workers(1, 1), False, Lost())


def test_attention_comes_from_a_worker_with_its_errors(pool: EnginePool) -> None:
    picture = pool.attention(TEXTS[0], "Licht {name}", EN_DE)
    assert len(picture.weights) == len(picture.target)
    assert all(sum(row) == pytest.approx(1, abs=1e-4) and len(row) == len(picture.source) for row in picture.weights)
    with pytest.raises(TooLongError, match="up to 100 pieces"):
        pool.attention("x " * 300, "y", EN_DE)
    with pytest.raises(RequestError, match="the text is empty"):
        pool.attention("", "y", EN_DE)
