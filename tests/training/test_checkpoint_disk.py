"""The order of writes, kills between them, and full disks."""

import errno
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch

from seqloom.errors import CheckpointError
from seqloom.training.checkpoint import Checkpoint, Checkpoints, DamagedCheckpoint
from tests.training.checkpoints import FILES, checkpoint, names, snapshot


def test_all_is_on_the_disk_before_it_gets_its_name_and_before_files_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []  # since the last rename
    moved: list[tuple[str, set[str]]] = []  # each rename, and what was flushed since the one before
    removed: list[set[str]] = []  # what was flushed between the last rename and a removal
    flush, rename, replace, remove = os.fsync, Path.rename, Path.replace, shutil.rmtree

    def flushing(descriptor: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        flush(descriptor)

    def moving(move: Any) -> Any:
        def moves(path: Path, target: Path) -> Path:
            moved.append((target.name, {*flushed}))
            flushed.clear()
            return Path(move(path, target))

        return moves

    def removing(path: Path, **options: Any) -> None:
        if path.name.startswith("step-"):
            removed.append({*flushed})
        remove(path, **options)

    monkeypatch.setattr(os, "fsync", flushing)
    monkeypatch.setattr(Path, "rename", moving(rename))
    monkeypatch.setattr(Path, "replace", moving(replace))
    monkeypatch.setattr(shutil, "rmtree", removing)
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.write_snapshot(1, snapshot(1))
    checkpoints.write(1, checkpoint(1, 1))
    checkpoints.write(2, checkpoint(2, 1))
    checkpoints.wait()
    folder = {tmp_path.name}  # its names
    assert moved == [
        ("weights-00000001.safetensors", {"weights.part"}),
        ("step-00000001", folder | {*FILES, "step.part"}),
        ("step-00000002", folder | {*FILES, "step.part"}),
    ]
    assert removed == [folder]


def go_on(folder: Path, calls: int) -> bool:
    """Write step 2 twice in a process that is killed after this many system calls; return whether it was killed."""
    child = os.fork()
    if child:
        status = os.waitpid(child, 0)[1]
        assert os.WIFSIGNALED(status) or not status
        return os.WIFSIGNALED(status)
    left = calls

    def kill(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir") or (
            event == "open" and str(folder) in str(arguments)
        ):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    try:
        os.fsync = lambda descriptor: None  # slow, and matters only in a power cut
        sys.addaudithook(kill)
        checkpoints = Checkpoints(folder, keep=1)
        checkpoints.newest()
        checkpoints.write_snapshot(2, snapshot(2))
        for _ in range(2):  # the second replaces the first
            checkpoints.write(2, checkpoint(2, 2))
        checkpoints.wait()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


@pytest.mark.drill
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_kill_at_any_moment_leaves_an_intact_checkpoint(tmp_path: Path) -> None:
    begun = Checkpoints(tmp_path / "begun", keep=1)
    begun.write_snapshot(1, snapshot(1))
    begun.write(1, checkpoint(1, 1))
    begun.wait()
    draw = random.Random(1)
    for calls in count():
        folder = shutil.copytree(begun.folder, tmp_path / f"{calls}")
        if not go_on(folder, calls):
            break
        for later in (*[draw.randrange(40)] * (calls % 3 == 0), 1_000_000):  # kill some twice
            heard: list[DamagedCheckpoint] = []
            assert Checkpoints(folder, keep=1).newest(heard.append) is not None
            assert not heard
            killed = go_on(folder, later)
        assert not killed
        assert names(folder) == ["step-00000002", "weights-00000002.safetensors"]
    assert calls >= 40


@pytest.fixture
def limited() -> Iterator[None]:
    """Limit files to 100 kB. Python ignores SIGXFSZ, so that writes fail with an error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def large(step: int, *snapshots: int) -> Checkpoint:
    return checkpoint(step, *snapshots)._replace(weights={"w": torch.full((50_000,), float(step))})


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("kind", ["checkpoint", "snapshot"])
def test_a_failed_write_raises_and_the_last_checkpoint_stays(tmp_path: Path, kind: str) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.write_snapshot(1, snapshot(1))
    checkpoints.write(1, checkpoint(1, 1))
    if kind == "checkpoint":
        checkpoints.write(2, large(2, 1))
    else:
        checkpoints.write_snapshot(2, large(2).weights)
        checkpoints.write(2, checkpoint(2, 1, 2))
    with pytest.raises(CheckpointError) as error:
        checkpoints.write(3, checkpoint(3, 1))
    assert str(error.value).startswith(f"{tmp_path}: the {kind} of step 2 cannot be written (")
    assert os.strerror(errno.EFBIG) in str(error.value)
    assert str(error.value).endswith("make room, then run again: training resumes from the previous checkpoint")
    assert names(tmp_path) == ["step-00000001", "weights-00000001.safetensors"]
    found = checkpoints.newest()
    assert found is not None
    assert found.state["step"] == 1
    checkpoints.write(3, checkpoint(3, 1))  # this one fits
    checkpoints.wait()
    assert names(tmp_path) == ["step-00000003", "weights-00000001.safetensors"]


@pytest.mark.usefixtures("limited")
def test_a_failed_last_write_raises_when_the_lock_is_released(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    with pytest.raises(CheckpointError, match="the checkpoint of step 2 cannot be written"), checkpoints.lock():
        checkpoints.write(2, large(2))


FULL_DISK = """
import sys, torch
from pathlib import Path
from seqloom.errors import CheckpointError
from seqloom.training.checkpoint import Checkpoint, Checkpoints
disk = Path(sys.argv[1])
checkpoints = Checkpoints(disk / "run", keep=1)
other = disk / "other"
other.write_bytes(bytes(300_000))
def write(step):
    weights = {"w": torch.full((60_000,), float(step))}
    checkpoints.write(step, Checkpoint(weights, {}, {}, {}, {"step": step}))
    checkpoints.wait()
write(1)
try:
    write(2)
except CheckpointError as error:
    print(error)
print(checkpoints.newest().state["step"])
other.unlink()
write(2)
print(checkpoints.newest().state["step"], sorted(file.name for file in checkpoints.folder.iterdir()))
"""


def test_a_full_disk_leaves_the_last_checkpoint_and_training_resumes_when_there_is_room(tmp_path: Path) -> None:
    """Uses a file system of 700 kB, which an unprivileged user can mount on most Linux machines."""
    mounted = [
        "unshare",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        'mount -t tmpfs -o size=700k none "$0" && exec "$@"',
    ]
    mount = [*mounted, str(tmp_path)]
    try:
        subprocess.run([*mount, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no disk can be mounted here")
    done = subprocess.run(
        [*mount, sys.executable, "-c", FULL_DISK, tmp_path], capture_output=True, text=True, check=True
    )
    error, before, after = done.stdout.splitlines()
    assert error.startswith(f"{tmp_path}/run: the checkpoint of step 2 cannot be written (")
    assert os.strerror(errno.ENOSPC) in error
    assert (before, after) == ("1", "2 ['step-00000002']")
