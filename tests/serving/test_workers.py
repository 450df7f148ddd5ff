"""Worker processes with the champion of a registry: its changes, other versions beside it, and processes that die."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from seqloom.gate.shadow import read_comparisons
from seqloom.places import SHADOW
from seqloom.serving.companion import Role
from seqloom.serving.engine_pool import EnginePool
from seqloom.serving.releases import RegisteredSource
from seqloom.serving.server import Second, Serving
from seqloom.serving.slot import Slot
from seqloom.tracking.client.store import connect
from seqloom.tracking.registry.champion import set_champion
from tests.serving.conftest import MODEL, Running, begin, serving_at

pytestmark = pytest.mark.slow
CLIENTS = 3
FIELDS = {"q": "Turn on the light", "source": "en", "target": "de"}


class Asking:
    """Clients that ask until the block ends. `found` are the status and the version of each answer."""

    def __init__(self, url: str) -> None:
        self.found: list[tuple[int, str]] = []
        self._url, self._more, self._stop = url, threading.Semaphore(0), False

    def wait_for(self, answers: int) -> None:
        """Wait until there are this many more answers."""
        wanted = len(self.found) + answers  # the semaphore also has those given since the last call
        while len(self.found) < wanted:
            assert self._more.acquire(timeout=300)

    def ask(self) -> None:
        with httpx.Client(base_url=self._url, timeout=300) as client:
            while not self._stop:
                answer = client.post("/translate", data=FIELDS)
                self.found.append((answer.status_code, answer.headers.get("x-model-version", answer.text)))
                self._more.release()

    @contextmanager
    def running(self) -> Iterator[None]:
        threads = [threading.Thread(target=self.ask) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop = True
            for thread in threads:
                thread.join()


def second(number: str, role: Role, share: float) -> Second:
    return Second(MODEL, RegisteredSource(MODEL, number, role, begin), role, share)


def slot_of(running: Running) -> Slot:
    (slot,) = running.models._slots
    return slot


def pool_of(running: Running) -> EnginePool:
    pool = slot_of(running).loaded.engine
    assert isinstance(pool, EnginePool)
    return pool


def add_version(root: Path) -> str:
    """Register another version with the same files; return its number."""
    client = connect(root, create=False).client
    first = client.get_model_version(MODEL, "1")
    made = client.create_model_version(MODEL, source=first.source, run_id=first.run_id, model_id=first.model_id)
    return str(made.version)


def promote(root: Path, number: str) -> None:
    set_champion(connect(root, create=False), MODEL, number, "promote", "a test")


def value(running: Running, name: str) -> float:
    lines = httpx.get(f"{running.url}/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


@pytest.mark.drill
def test_the_champion_changes_beside_a_canary_while_a_worker_is_killed(clone: Path) -> None:
    number = add_version(clone)
    serving = Serving([RegisteredSource(MODEL, begin=begin)], "cpu", second("2", Role.CANARY, 0.25))
    with serving_at(clone, serving, workers=2) as running:
        asking, old = Asking(running.url), pool_of(running)
        (first, *_) = old.processes
        with asking.running():
            asking.wait_for(20)
            promote(clone, number)
            changing = threading.Thread(target=running.refresh)
            changing.start()
            os.kill(first, signal.SIGKILL)
            changing.join()
            asking.wait_for(20)
        assert {status for status, _ in asking.found} == {200}
        counted = Counter(version for _, version in asking.found)
        assert set(counted) == {f"{MODEL}/1", f"{MODEL}/2", f"{MODEL}/{number}"}
        assert abs(counted[f"{MODEL}/2"] - len(asking.found) / 4) <= 1
        later = Counter(httpx.post(f"{running.url}/translate", data=FIELDS).json()["version"] for _ in range(4))
        assert later == {f"{MODEL}/{number}": 3, f"{MODEL}/2": 1}
        assert value(running, "seqloom_swaps_total{") == 1
        assert value(running, "seqloom_workers_lost_total{") == 1
        assert value(running, "seqloom_companion_failures_total{") == 0
        assert old._host.process.wait(60) == 0
        assert pool_of(running) is not old
        processes = [pool_of(running)._host.process.pid, *pool_of(running).processes]
    assert not any(psutil.pid_exists(each) for each in processes)


@pytest.mark.drill
def test_a_shadow_follows_a_change_of_champion_whose_first_attempt_is_killed(clone: Path) -> None:
    number = add_version(clone)
    serving = Serving([RegisteredSource(MODEL, begin=begin)], "cpu", second("2", Role.SHADOW, 1.0))
    with serving_at(clone, serving, workers=2) as running:
        asking = Asking(running.url)
        pause = threading.Event()
        there = {each.pid for each in psutil.Process().children()}

        def kill() -> None:
            """Kill the process that loads the new version."""
            while not (new := {each.pid for each in psutil.Process().children()} - there):
                pause.wait(0.02)
            os.kill(new.pop(), signal.SIGKILL)

        with asking.running():
            asking.wait_for(5)
            promote(clone, number)
            killing = threading.Thread(target=kill)
            killing.start()
            running.refresh()
            killing.join()
            assert slot_of(running).loaded.release.label == f"{MODEL}/1"
            assert value(running, f'seqloom_alarm{{kind="load",model="{MODEL}"}}') == 1
            slot_of(running)._retry_at = 0.0
            running.refresh()
            assert value(running, f'seqloom_alarm{{kind="load",model="{MODEL}"}}') == 0
            asking.wait_for(5)
        assert {status for status, _ in asking.found} == {200}
        assert asking.found[-1][1] == f"{MODEL}/{number}"
    found = read_comparisons(SHADOW, f"{MODEL}/2")
    assert {each.served for each in found} == {f"{MODEL}/1", f"{MODEL}/{number}"}
    assert all(each.different == 0 and each.failed == 0 for each in found)


def test_a_pinned_version_stays_when_the_champion_changes(clone: Path) -> None:
    serving = Serving([RegisteredSource(MODEL, "2", begin=begin)], "cpu")
    with serving_at(clone, serving, workers=2) as running:
        pool = pool_of(running)
        add_version(clone)
        promote(clone, "3")
        running.refresh()
        answer = httpx.post(f"{running.url}/translate", data=FIELDS)
        assert answer.json()["version"] == f"{MODEL}/2"
        assert pool_of(running) is pool
        assert value(running, "seqloom_swaps_total{") == 0
