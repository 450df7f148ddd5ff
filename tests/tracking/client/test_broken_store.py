"""A locked, read-only or damaged database or a full disk gives one line with a remedy and no traceback."""

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from seqloom.errors import RegistryError, SilentError
from seqloom.tracking.client.store import connect, experiment_id
from tests.workspaces import give_store


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


HOLD = """
import os, signal, sys
from pathlib import Path
from seqloom.tracking.client.store import connect, exclusive
with exclusive(connect(Path.cwd(), create=False)):
    print("held", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
print("free", flush=True)
"""


@pytest.mark.slow
def test_a_stopped_process_keeps_the_lock_and_continues_later(root: Path) -> None:
    command = [sys.executable, "-c", HOLD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with subprocess.Popen(
            [*command[:2], HOLD.replace("SIGSTOP", "SIGCONT")], stdout=subprocess.PIPE, text=True
        ) as second:
            time.sleep(1)
            assert second.poll() is None
            first.send_signal(signal.SIGCONT)
            assert second.communicate(timeout=120)[0] == "held\nfree\n"
        assert first.communicate(timeout=60)[0] == "free\n"
    assert (first.returncode, second.returncode) == (0, 0)


MOUNTED = ["unshare", "--map-root-user", "--mount", "sh", "-c"]

READ_ONLY = """
from pathlib import Path
from seqloom.errors import RegistryError
from seqloom.tracking.client.store import connect, exclusive, experiment_id
store = connect(Path.cwd(), create=True)
print(len(store.client.search_experiments()))
for attempt in (lambda: experiment_id(store, "new"), lambda: exclusive(store).__enter__()):
    try:
        attempt()
    except RegistryError as error:
        print(error)
"""

FULL = """
from pathlib import Path
from seqloom.errors import RegistryError
from seqloom.tracking.client.store import connect, experiment_id
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
def test_a_read_only_database_can_be_read_but_not_written(root: Path) -> None:
    count, written, locked = on_a_disk(root, 'mount -o remount,ro "$0"', READ_ONLY)
    assert count == "1"
    assert "mlflow.db: it is read-only; make the file and its folder writable for this user, and run" in written
    assert "mlflow.db.lock: cannot be written (Read-only file system): make the folder writable" in locked


@pytest.mark.slow
def test_a_full_disk_is_reported_and_work_continues_once_there_is_space(root: Path) -> None:
    full, after = on_a_disk(root, "true", FULL)
    assert full.endswith("mlflow.db: no space is left on its disk; make room, and run again")
    assert after == "True"
