import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from seqloom.errors import ShardError
from seqloom.progress import ignore
from seqloom.sharding import local
from seqloom.sharding.local import LocalLauncher
from seqloom.sharding.mapping import map_shards
from seqloom.sharding.step import Task, input_of
from tests.forked import Forked
from tests.sharding.real_steps import RealSteps
from tests.sharding.upper import Upper


def tasks_of(shards: list[Path], into: Path) -> Iterator[Task]:
    return (Task(number, input_of(path), into / str(number), "f") for number, path in enumerate(shards))


def workers_in(log: Path) -> list[int]:
    return [int(line.split()[1]) for line in log.read_text().splitlines()] if log.exists() else []


def alive(process: int) -> bool:
    with suppress(OSError):
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    return False


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_worker_that_dies_loses_only_its_task(shards: list[Path], tmp_path: Path) -> None:
    step = Upper(trouble="dies once", log=str(tmp_path / "log"))
    outcomes = sorted(LocalLauncher(2).run(step, tasks_of(shards, tmp_path / "out")), key=lambda each: each.task.number)
    assert [bool(each.fault) for each in outcomes] == [False, False, True, False]
    assert outcomes[2].fault == "its worker was killed; was memory short?"
    assert not outcomes[2].final


def test_no_more_workers_are_started_than_there_are_tasks(shards: list[Path], tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert len(list(LocalLauncher(64).run(Upper(log=str(log)), tasks_of(shards[:2], tmp_path / "out")))) == 2
    assert 1 <= len(set(workers_in(log))) <= 2
    assert os.getpid() not in workers_in(log)


def test_the_workers_end_if_the_launcher_is_closed_early(shards: list[Path], tmp_path: Path) -> None:
    log = tmp_path / "log"
    running = LocalLauncher(2).run(Upper(trouble="waits", log=str(log)), tasks_of(shards, tmp_path / "out"))
    assert [next(running).fault for _ in range(3)] == ["", "", ""]
    wait_until(lambda: len(workers_in(log)) == 4)  # the one with the bad shard waits for ever
    running.close()  # type: ignore[attr-defined]  # a generator
    assert not any(map(alive, workers_in(log)))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_workers_end_with_their_parent(shards: list[Path], tmp_path: Path, number: signal.Signals) -> None:
    log, step = tmp_path / "log", Upper(trouble="waits", log=str(tmp_path / "log"))
    parent = Forked(lambda: map_shards(step, map(input_of, shards), tmp_path / "out", LocalLauncher(2), ignore))
    wait_until(lambda: len(workers_in(log)) == 4)
    parent.send_signal(number)
    parent.communicate()
    assert parent.returncode
    wait_until(lambda: not any(map(alive, workers_in(log))))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_step_that_cannot_start_is_told(shards: list[Path], tmp_path: Path, workers: int) -> None:
    step = Upper(trouble="no start")
    with pytest.raises(ShardError, match=r"4 shards failed; 0 are done.*\n.*in0\.txt: there is no model"):
        map_shards(step, map(input_of, shards), tmp_path / "out", LocalLauncher(workers), ignore)


@pytest.mark.parametrize(("quota", "expected"), [("max 100000", 8), ("250000 100000", 2), ("50000 100000", 1)])
def test_the_cores_are_those_of_the_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, expected: int
) -> None:
    monkeypatch.setattr(local, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    assert local.cores() == 8
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    assert local.cores() == expected


@pytest.mark.slow
def test_the_results_of_two_workers_are_those_of_one(tmp_path: Path) -> None:
    steps = RealSteps(tmp_path)
    assert steps.hashes("two", LocalLauncher(2)) == steps.hashes("one", LocalLauncher(1))
