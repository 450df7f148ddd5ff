"""A locked, read-only or damaged database or a full disk gives one line with a remedy and no traceback."""

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from seqloom.errors import RegistryError, SilentError
from seqloom.tracking.client.store import connect, exclusive, experiment_id
from tests.workspaces import give_store

FORK = multiprocessing.get_context("fork")  # a new interpreter would import MLflow for seconds


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an empty store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    give_store(tmp_path)
    return tmp_path


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def noise(content: bytes) -> bytes:
    return content[:4096] + bytes(at * 7 % 251 for at in range(len(content) - 4096))


@pytest.mark.parametrize("damage", [half, noise, lambda content: content[:500]], ids=["half", "noise", "header"])
def test_a_damaged_database_is_reported_with_a_remedy(root: Path, damage: Callable[[bytes], bytes]) -> None:
    database = root / "mlflow.db"
    database.write_bytes(damage(database.read_bytes()))
    with pytest.raises(RegistryError, match=r"mlflow\.db .*: it is damaged; restore it from a backup") as raised:
        connect(root, create=True)
    assert "\n" not in str(raised.value)
    assert not isinstance(raised.value, SilentError)


@pytest.mark.slow
def test_a_locked_database_is_a_temporary_error(root: Path) -> None:
    other = sqlite3.connect(root / "mlflow.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(SilentError, match=r"another process has locked it; wait until that process has ended"):
        connect(root, create=False)
    other.execute("ROLLBACK")
    store = connect(root, create=False)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(SilentError, match=r"mlflow\.db: another process has locked it; .*, and run again$"):
        experiment_id(store, "new")
    other.execute("ROLLBACK")
    other.close()
    assert experiment_id(store, "new")


def hold(root: Path, lines: Connection, then: signal.Signals) -> None:
    with exclusive(connect(root, create=False)):
        lines.send("held")
        os.kill(os.getpid(), then)
    lines.send("free")
    os._exit(0)  # threads and exit handlers belong to the process that was forked


@pytest.fixture
def start(root: Path) -> Iterator[Callable[[signal.Signals], tuple[BaseProcess, Connection]]]:
    """Start a process that holds the lock of the store and sends itself a signal meanwhile."""
    started: list[BaseProcess] = []

    def start(then: signal.Signals) -> tuple[BaseProcess, Connection]:
        ours, theirs = FORK.Pipe(duplex=False)
        started.append(FORK.Process(target=hold, args=(root, theirs, then)))
        started[-1].start()
        return started[-1], ours

    yield start
    for process in started:
        process.kill()  # one that is stopped too


@pytest.mark.slow
def test_a_stopped_process_keeps_the_lock_and_continues_later(
    start: Callable[[signal.Signals], tuple[BaseProcess, Connection]],
) -> None:
    first, of_first = start(signal.SIGSTOP)
    assert of_first.recv() == "held"
    second, of_second = start(signal.SIGCONT)
    assert not of_second.poll(1)
    assert second.is_alive()
    assert first.pid is not None
    os.kill(first.pid, signal.SIGCONT)
    assert of_second.poll(120)
    assert [of_second.recv(), of_second.recv()] == ["held", "free"]
    assert of_first.recv() == "free"
    for process in (first, second):
        process.join(60)
    assert (first.exitcode, second.exitcode) == (0, 0)


MOUNTED = ["unshare", "--map-root-user", "--mount", "sh", "-c"]

BROKEN_DISK = """
import os, subprocess
from pathlib import Path
from seqloom.errors import RegistryError
from seqloom.tracking.client.store import connect, exclusive, experiment_id

def read_only():
    store = connect(Path.cwd(), create=True)
    print(len(store.client.search_experiments()))
    for attempt in (lambda: experiment_id(store, "new"), lambda: exclusive(store).__enter__()):
        try:
            attempt()
        except RegistryError as error:
            print(error)

def full():
    store = connect(Path.cwd(), create=True)
    with Path("filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            pass
    try:
        for number in range(1000):
            experiment_id(store, f"new {number} {'x' * 200}")
    except RegistryError as error:
        print(error)
    Path("filler").unlink()
    print(experiment_id(store, "new") != "0")

if not os.fork():  # MLflow is imported once for both
    read_only()
else:
    os.wait()
    subprocess.run(["mount", "-o", "remount,rw", Path.cwd()], check=True)
    full()
"""


def on_a_disk(root: Path, then: str, program: str) -> list[str]:
    """Run a program in a folder with a store on a small disk of its own; return the lines it prints."""
    shell = f'mount -t tmpfs -o size=3m none "$0" && cp -a "$1"/. "$0" && cd "$0" && {then} && exec "$2" -c "$3"'
    disk = root.parent / f"disk-{root.name}"
    disk.mkdir()
    try:
        subprocess.run([*MOUNTED, shell, disk, root, "/bin/true", ""], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no disk can be mounted here")
    command = [*MOUNTED, shell, disk, root, sys.executable, program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_a_read_only_database_and_a_full_disk_are_reported_and_work_continues_once_there_is_space(root: Path) -> None:
    count, written, locked, full, after = on_a_disk(root, 'mount -o remount,ro "$0"', BROKEN_DISK)
    assert count == "1"
    assert "mlflow.db: it is read-only; make the file and its folder writable for this user, and run" in written
    assert "mlflow.db.lock: cannot be written (Read-only file system): make the folder writable" in locked
    assert full.endswith("mlflow.db: no space is left on its disk; make room, and run again")
    assert after == "True"
