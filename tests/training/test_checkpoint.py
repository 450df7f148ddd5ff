import errno
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch

from seqloom.errors import CheckpointError
from seqloom.training import checkpoint as module
from seqloom.training.checkpoint import Checkpoint, Checkpoints, DamagedCheckpoint


def checkpoint(step: int, *snapshots: int) -> Checkpoint:
    return Checkpoint(
        {"w": torch.full((3,), float(step))}, {"w": torch.full((3,), step / 2)}, {"0.step": torch.tensor(float(step))},
        {"cpu": torch.get_rng_state()}, {"step": step, "best": float("-inf"), "snapshots": list(snapshots)},
    )  # fmt: skip


def snapshot(step: int) -> dict[str, torch.Tensor]:
    return {"w": torch.full((3,), float(step))}


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def damage(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)


def test_a_checkpoint_is_read_as_it_was_written(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    assert checkpoints.newest() is None
    checkpoints.write_snapshot(4, snapshot(4))
    checkpoints.write(7, checkpoint(7, 4))
    checkpoints.wait()
    for reader in (checkpoints, Checkpoints(tmp_path, keep=2)):
        found = reader.newest()
        assert found is not None
        assert torch.equal(found.weights["w"], torch.full((3,), 7.0))
        assert torch.equal(found.average["w"], torch.full((3,), 3.5))
        assert torch.equal(found.generators["cpu"], torch.get_rng_state())
        assert found.state == {"step": 7, "best": float("-inf"), "snapshots": [4]}
        assert torch.equal(reader.snapshot(4)["w"], torch.full((3,), 4.0))


def test_sha256sum_accepts_the_list_of_hashes(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.write_snapshot(4, snapshot(4))
    checkpoints.write(7, checkpoint(7, 4))
    checkpoints.wait()
    check = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    checked = subprocess.run(check, cwd=tmp_path / "step-00000007", capture_output=True, text=True, check=True)
    assert checked.stdout.splitlines() == [
        f"{name}: OK"
        for name in (
            "../weights-00000004.safetensors", "model.safetensors", "optimizer.safetensors", "average.safetensors",
            "state.json",
        )
    ]  # fmt: skip


def test_the_same_state_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        checkpoints = Checkpoints(tmp_path / folder, keep=1)
        checkpoints.write(1, checkpoint(1))
        checkpoints.wait()
    first, second = (
        {file.name: file.read_bytes() for file in (tmp_path / folder).rglob("step-00000001/*")} for folder in ("a", "b")
    )
    assert len(first) == 5
    assert first == second


def test_without_a_moving_average_there_is_no_average_file(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.write(1, checkpoint(1)._replace(average={}))
    found = checkpoints.newest()
    assert found is not None
    assert found.average == {}
    assert not (tmp_path / "step-00000001" / "average.safetensors").exists()


def test_a_state_needs_no_snapshots_and_a_folder_no_parent(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "deep" / "run", keep=1)
    checkpoints.write(1, Checkpoint(snapshot(1), {}, {}, {}, {"step": 1}))
    found = checkpoints.newest()
    assert found is not None
    assert (found.state, found.optimizer, found.generators) == ({"step": 1}, {}, {})


def test_another_process_reads_a_snapshot_that_the_last_checkpoint_lists(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=3)
    checkpoints.write_snapshot(2, snapshot(2))
    checkpoints.write(1, checkpoint(1))
    checkpoints.write(3, checkpoint(3, 2))
    checkpoints.wait()
    assert torch.equal(Checkpoints(tmp_path, keep=3).snapshot(2)["w"], torch.full((3,), 2.0))
    damage(tmp_path / "weights-00000002.safetensors")
    with pytest.raises(CheckpointError, match="is missing or damaged"):
        Checkpoints(tmp_path, keep=3).snapshot(2)


@pytest.mark.parametrize("steps", [[], [1]])
def test_a_snapshot_that_no_checkpoint_lists_is_an_error(tmp_path: Path, steps: list[int]) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    for step in steps:
        checkpoints.write(step, checkpoint(step))
    with pytest.raises(CheckpointError, match=r"weights-00000009\.safetensors: is missing or damaged"):
        checkpoints.snapshot(9)


def test_only_the_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (5, 10, 100000):
        checkpoints.write(step, checkpoint(step))
    checkpoints.wait()
    assert names(tmp_path) == ["step-00000010", "step-00100000"]
    assert checkpoints.steps == [10, 100000]


def test_a_snapshot_is_kept_while_a_checkpoint_needs_it(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    expected = {
        1: ([1], [1]),
        2: ([1, 2], [1, 2]),
        3: ([2, 3], [1, 2, 3]),  # the checkpoint of step 2 needs 1
        4: ([2, 4], [2, 3, 4]),
        5: ([2, 5], [2, 4, 5]),
    }
    for step, (named, kept) in expected.items():
        checkpoints.write_snapshot(step, snapshot(step))
        checkpoints.write_snapshot(step + 100, snapshot(step))  # no checkpoint needs it yet
        checkpoints.write(step, checkpoint(step, *named))
        checkpoints.wait()
        ahead = [100 + each for each in range(1, step + 1)]
        assert [file for file in names(tmp_path) if file.startswith("weights")] == [
            f"weights-{each:08d}.safetensors" for each in kept + ahead
        ]


def test_the_same_step_can_be_written_again(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.write(3, checkpoint(3))
    checkpoints.write(3, checkpoint(3)._replace(weights=snapshot(4)))
    found = checkpoints.newest()
    assert found is not None
    assert torch.equal(found.weights["w"], torch.full((3,), 4.0))
    assert names(tmp_path) == ["step-00000003"]


def test_a_kill_between_two_renames_loses_nothing(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.write(3, checkpoint(3))
    checkpoints.wait()
    (tmp_path / "step-00000003").rename(tmp_path / "step.old")  # the new one was to take its place
    found = checkpoints.newest()
    assert found is not None
    assert found.state["step"] == 3
    for _ in range(2):
        checkpoints.write(3, checkpoint(3))
        checkpoints.wait()
        assert names(tmp_path) == ["step-00000003"]
    shutil.copytree(tmp_path / "step-00000003", tmp_path / "step.old")  # as if killed before the old one was removed
    checkpoints.write(3, checkpoint(3)._replace(weights=snapshot(4)))
    found = checkpoints.newest()
    assert found is not None
    assert found.weights["w"].tolist() == [4, 4, 4]
    assert names(tmp_path) == ["step-00000003"]


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


class Held:
    """Blocks the writing thread until released."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._go = threading.Event()
        save = module.save_file

        def held(tensors: dict[str, torch.Tensor], file: Path) -> None:
            assert self._go.wait(30)
            save(tensors, file)

        monkeypatch.setattr(module, "save_file", held)

    def go(self) -> None:
        self._go.set()


def test_training_continues_during_a_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held(monkeypatch)
    checkpoints = Checkpoints(tmp_path, keep=1)
    best, now = snapshot(1), checkpoint(1, 1)
    checkpoints.write_snapshot(1, best)
    checkpoints.write(1, now)
    for tensor in (best["w"], now.weights["w"], now.average["w"], now.optimizer["0.step"]):
        tensor.zero_()
    now.state["step"] = 2
    now.state["snapshots"].clear()
    assert not list(tmp_path.glob("step-*"))
    held.go()
    found = checkpoints.newest()
    assert found is not None
    assert found.weights["w"].tolist() == [1, 1, 1]
    assert found.average["w"].tolist() == [0.5, 0.5, 0.5]
    assert found.optimizer["0.step"].item() == 1
    assert (found.state["step"], found.state["snapshots"]) == (1, [1])
    assert checkpoints.snapshot(1)["w"].tolist() == [1, 1, 1]


def test_a_second_checkpoint_waits_for_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held(monkeypatch)
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.write(1, checkpoint(1))
    first, copies = tmp_path / "step-00000001" / "SHA256SUMS", module.host_copies

    def copying(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        assert first.exists()  # else the tensors of two checkpoints would take memory
        return copies(tensors)

    monkeypatch.setattr(module, "host_copies", copying)
    threading.Timer(0.2, held.go).start()
    checkpoints.write(2, checkpoint(2))
    assert first.exists()
    checkpoints.wait()


def test_a_second_snapshot_waits_for_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held(monkeypatch)
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.write_snapshot(1, snapshot(1))
    first, copies = tmp_path / "weights-00000001.safetensors", module.host_copies

    def copying(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        assert first.exists()
        return copies(tensors)

    monkeypatch.setattr(module, "host_copies", copying)
    threading.Timer(0.2, held.go).start()
    checkpoints.write_snapshot(2, snapshot(2))
    checkpoints.wait()


def test_the_lock_is_held_until_all_writes_are_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held(monkeypatch)
    checkpoints = Checkpoints(tmp_path, keep=2)
    threading.Timer(0.2, held.go).start()

    def fail() -> None:
        with checkpoints.lock():
            checkpoints.write(1, checkpoint(1))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (tmp_path / "step-00000001" / "SHA256SUMS").exists()


FILES = ["model.safetensors", "average.safetensors", "optimizer.safetensors", "state.json", "SHA256SUMS"]


@pytest.mark.parametrize("broken", [*FILES, "../weights-00000002.safetensors"])
def test_a_damaged_checkpoint_is_skipped_for_the_previous_one(tmp_path: Path, broken: str) -> None:
    checkpoints = Checkpoints(tmp_path, keep=3)
    for step in (1, 2):
        checkpoints.write_snapshot(step, snapshot(step))
        checkpoints.write(step, checkpoint(step, *range(1, step + 1)))
    checkpoints.wait()
    newest = tmp_path / "step-00000002"
    damage(newest / broken)
    heard: list[DamagedCheckpoint] = []
    found = checkpoints.newest(heard.append)
    assert found is not None
    assert found.state["step"] == 1
    assert [each.folder for each in heard] == [newest]
    if broken != "SHA256SUMS":
        assert heard[0].reason == f"the SHA-256 of {Path(broken).name} is not the one in SHA256SUMS"


@pytest.mark.parametrize("missing", [*FILES, "../weights-00000002.safetensors"])
def test_the_reason_names_a_missing_file(tmp_path: Path, missing: str) -> None:
    checkpoints = Checkpoints(tmp_path, keep=3)
    checkpoints.write_snapshot(2, snapshot(2))
    checkpoints.write(2, checkpoint(2, 2))
    checkpoints.wait()
    (tmp_path / "step-00000002" / missing).unlink()
    heard: list[DamagedCheckpoint] = []
    assert checkpoints.newest(heard.append) is None
    assert heard == [DamagedCheckpoint(tmp_path / "step-00000002", f"{Path(missing).name} is missing")]


@pytest.mark.parametrize("lines", range(5))
def test_a_truncated_list_of_hashes_is_detected(tmp_path: Path, lines: int) -> None:
    checkpoints = Checkpoints(tmp_path, keep=3)
    checkpoints.write_snapshot(1, snapshot(1))
    checkpoints.write(1, checkpoint(1, 1))
    checkpoints.wait()
    sums = tmp_path / "step-00000001" / "SHA256SUMS"
    sums.write_text("".join(sums.read_text().splitlines(keepends=True)[:lines]))
    heard: list[DamagedCheckpoint] = []
    assert checkpoints.newest(heard.append) is None
    assert [each.reason for each in heard] == ["SHA256SUMS does not list 'state.json'"]


def test_a_damaged_snapshot_is_never_read(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.write_snapshot(1, snapshot(1))
    checkpoints.wait()
    damage(tmp_path / "weights-00000001.safetensors")
    with pytest.raises(CheckpointError, match=r"weights-00000001\.safetensors: is missing or damaged"):
        checkpoints.snapshot(1)


def test_a_damaged_checkpoint_does_not_displace_an_intact_one(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (2, 4):
        checkpoints.write(step, checkpoint(step))
    checkpoints.wait()
    damage(tmp_path / "step-00000004" / "model.safetensors")
    assert checkpoints.newest() is not None
    checkpoints.write(3, checkpoint(3))
    checkpoints.wait()
    assert names(tmp_path) == ["step-00000002", "step-00000003"]


def test_a_kept_checkpoint_without_hashes_does_not_hinder_the_next(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.write_snapshot(1, snapshot(1))
    checkpoints.write(1, checkpoint(1, 1))
    checkpoints.wait()
    (tmp_path / "step-00000001" / "SHA256SUMS").unlink()
    checkpoints.write(2, checkpoint(2))
    checkpoints.wait()
    assert names(tmp_path) == ["step-00000001", "step-00000002"]  # the snapshot is listed nowhere


def test_a_half_written_checkpoint_is_ignored(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=3)
    (tmp_path / "step.part").mkdir()
    (tmp_path / "step.part" / "state.json").write_text(json.dumps({}))
    assert checkpoints.newest() is None
    checkpoints.write(1, checkpoint(1))
    checkpoints.wait()
    assert not (tmp_path / "step.part").exists()


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


def test_the_lock_is_free_again_after_use(tmp_path: Path) -> None:
    with (
        Checkpoints(tmp_path, keep=1).lock(),
        pytest.raises(CheckpointError, match=f"{tmp_path}: another process is training this run"),
        Checkpoints(tmp_path, keep=1).lock(),
    ):
        pass
    with Checkpoints(tmp_path, keep=1).lock():
        pass


def test_a_second_process_cannot_take_the_lock(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from seqloom.training.checkpoint import Checkpoints\n"
        "with Checkpoints(Path(sys.argv[1]), keep=1).lock(): print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(CheckpointError, match="another process is training"), Checkpoints(tmp_path, keep=1).lock():
            pass
        other.communicate("")
    with Checkpoints(tmp_path, keep=1).lock():
        pass
