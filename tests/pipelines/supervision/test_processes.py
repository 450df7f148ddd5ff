"""Orphans of a killed flow are found by their mark and ended; other processes are not."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.supervision.processes import (
    CLONE,
    OWNER,
    Process,
    current_process,
    end_orphans,
    find_orphans,
    is_alive,
    process_marks,
)

DEAD = "4194305:1"  # above the largest process id of Linux
SLEEP = [sys.executable, "-c", "import time; print(flush=True); time.sleep(300)"]


class Started:
    """Starts processes that end with the test."""

    def __init__(self) -> None:
        self.all: list[subprocess.Popen[bytes]] = []

    def __call__(self, command: list[str], **environment: str) -> Process:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.PIPE)
        self.all.append(process)
        assert process.stdout is not None
        process.stdout.readline()  # its signal handlers are set
        return _known(process.pid)


def _known(pid: int) -> Process:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return Process(pid, int(fields[19]))


@pytest.fixture
def start() -> Iterator[Started]:
    started = Started()
    yield started
    for process in started.all:
        process.kill()
        process.communicate()


def test_a_process_is_an_orphan_once_its_flow_has_ended(tmp_path: Path, start: Started) -> None:
    clone = str(tmp_path)
    orphan = start(SLEEP, **{CLONE: clone, OWNER: DEAD})
    unknown = start(SLEEP, **{CLONE: clone})
    start(SLEEP, **process_marks(tmp_path))  # its flow, this process, is alive
    start(SLEEP, **{CLONE: str(tmp_path / "other"), OWNER: DEAD})
    reused = start(SLEEP, **{CLONE: clone, OWNER: f"{os.getpid()}:1"})  # the number belongs to another process now
    assert set(find_orphans(tmp_path)) == {orphan, unknown, reused}


def test_orphans_get_sigint_first_and_time_for_a_checkpoint(tmp_path: Path, start: Started) -> None:
    script = f"trap 'sleep 0.5; touch {tmp_path}/checkpoint; exit 1' INT; echo; while true; do sleep 0.1; done"
    orphan = start(["sh", "-c", script], **{CLONE: str(tmp_path), OWNER: DEAD})
    assert orphan in end_orphans(tmp_path)
    assert (tmp_path / "checkpoint").exists()
    assert not is_alive(orphan)


def test_an_orphan_that_ignores_sigint_is_killed(tmp_path: Path, start: Started) -> None:
    script = "trap '' INT TERM; echo; while true; do sleep 0.1; done"
    orphan = start(["sh", "-c", script], **{CLONE: str(tmp_path), OWNER: DEAD})
    other = start(SLEEP)
    began = time.monotonic()
    assert orphan in end_orphans(tmp_path, grace=0.3)
    assert time.monotonic() - began < 30
    assert not is_alive(orphan)
    assert is_alive(other)


def test_a_flow_does_not_end_itself_if_its_schedule_was_killed(tmp_path: Path) -> None:
    code = "from pathlib import Path; from pipelines.supervision.processes import end_orphans\n"
    code += "print(end_orphans(Path.cwd()))"
    environment = {**os.environ, CLONE: str(tmp_path), OWNER: DEAD}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "[]\n")


def test_a_zombie_has_ended() -> None:
    child = subprocess.Popen(["true"])
    known = _known(child.pid)
    end = time.monotonic() + 10
    while is_alive(known) and time.monotonic() < end:
        time.sleep(0.01)
    assert not is_alive(known)
    child.wait()
    assert is_alive(current_process())
