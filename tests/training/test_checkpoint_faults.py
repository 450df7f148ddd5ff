"""Checkpoints and snapshots that cannot be read or written, and what a process knows after it has read some."""

import errno
import hashlib
import threading
from pathlib import Path

import pytest
import torch

from seqloom.errors import CheckpointError
from seqloom.training import checkpoint as module
from seqloom.training.checkpoint import Checkpoint, Checkpoints, DamagedCheckpoint


def weights(value: float) -> dict[str, torch.Tensor]:
    return {"w": torch.full((3,), value)}


def written(folder: Path, *, keep: int = 2) -> Checkpoints:
    """Write the snapshot of step 1, and the checkpoint of step 2, which needs it."""
    checkpoints = Checkpoints(folder, keep=keep)
    checkpoints.write_snapshot(1, weights(1))
    checkpoints.write(2, Checkpoint(weights(2), {}, {}, {}, {"step": 2, "snapshots": [1]}))
    checkpoints.wait()
    return checkpoints


def put(folder: Path, name: str, content: bytes) -> None:
    """Replace a file of the checkpoint of step 2, and its hash."""
    file = folder / "step-00000002" / name
    sums = folder / "step-00000002" / "SHA256SUMS"
    before, after = (hashlib.sha256(each).hexdigest() for each in (file.read_bytes(), content))
    sums.write_text(sums.read_text().replace(before, after))
    file.write_bytes(content)


def test_a_file_that_cannot_be_opened_or_parsed_makes_a_damaged_checkpoint(tmp_path: Path) -> None:
    heard: list[DamagedCheckpoint] = []
    checkpoints, file = written(tmp_path), tmp_path / "step-00000002" / "model.safetensors"
    put(tmp_path, file.name, b"no tensors")
    assert checkpoints.newest(heard.append) is None
    file.unlink()
    file.mkdir()
    assert checkpoints.newest(heard.append) is None
    assert len(heard) == 2
    assert "header" in heard[0].reason.lower()
    assert "Is a directory" in heard[1].reason


def test_a_snapshot_that_cannot_be_parsed_is_an_error(tmp_path: Path) -> None:
    written(tmp_path)
    put(tmp_path, "../weights-00000001.safetensors", b"no tensors")
    with pytest.raises(CheckpointError, match=r"weights-00000001\.safetensors: is missing or damaged"):
        Checkpoints(tmp_path, keep=2).snapshot(1)


def test_a_snapshot_can_be_read_while_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin, save = threading.Event(), module.save_file

    def held(tensors: dict[str, torch.Tensor], file: Path) -> None:
        assert begin.wait(30)
        save(tensors, file)

    monkeypatch.setattr(module, "save_file", held)
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.write_snapshot(1, weights(1))
    threading.Timer(0.05, begin.set).start()
    assert checkpoints.snapshot(1)["w"].tolist() == [1, 1, 1]


def test_a_resumed_run_writes_checkpoints_with_the_snapshots_that_it_found(tmp_path: Path) -> None:
    written(tmp_path)
    checkpoints = Checkpoints(tmp_path, keep=1)
    found = checkpoints.newest()
    assert found is not None
    checkpoints.write(3, found._replace(state={"step": 3, "snapshots": [1]}))
    later = Checkpoints(tmp_path, keep=1)
    checkpoints.wait()
    again = later.newest()
    assert again is not None
    assert again.state == {"step": 3, "snapshots": [1]}
    assert later.snapshot(1)["w"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("kind", ["checkpoint", "snapshot"])
def test_what_could_not_be_flushed_takes_no_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    def full(file: Path) -> str:
        raise OSError(errno.ENOSPC, "No space left on device", str(file))

    monkeypatch.setattr(module, "_flush", full)
    checkpoints = Checkpoints(tmp_path, keep=1)
    if kind == "snapshot":
        checkpoints.write_snapshot(1, weights(1))
    else:
        checkpoints.write(1, Checkpoint(weights(1), {}, {}, {}, {"step": 1}))
    with pytest.raises(CheckpointError, match=rf"the {kind} of step 1 cannot be written \(.*No space left on device"):
        checkpoints.wait()
    assert not list(tmp_path.iterdir())


def test_a_snapshot_that_was_deleted_is_an_error(tmp_path: Path) -> None:
    checkpoints = written(tmp_path)
    (tmp_path / "weights-00000001.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"is missing or damaged .*; run again: training resumes from the last"):
        checkpoints.snapshot(1)


def test_a_snapshot_of_the_same_step_that_the_checkpoint_does_not_need_is_removed(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.write_snapshot(3, weights(3))
    checkpoints.write(3, Checkpoint(weights(3), {}, {}, {}, {"step": 3}))
    checkpoints.wait()
    assert [file.name for file in tmp_path.iterdir()] == ["step-00000003"]


def test_the_newest_checkpoint_lists_the_snapshots(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=3)
    for step in (1, 2, 3):
        checkpoints.write_snapshot(step, weights(step))
        checkpoints.write(step, Checkpoint(weights(step), {}, {}, {}, {"step": step, "snapshots": [step]}))
    checkpoints.wait()
    assert Checkpoints(tmp_path, keep=3).snapshot(3)["w"].tolist() == [3, 3, 3]


def test_a_write_leaves_no_file_open(tmp_path: Path) -> None:
    checkpoints = written(tmp_path)
    before = len([*Path("/proc/self/fd").iterdir()])
    for step in (3, 4, 5):
        checkpoints.write(step, Checkpoint(weights(step), {}, {}, {}, {"step": step}))
    checkpoints.wait()
    assert len([*Path("/proc/self/fd").iterdir()]) == before
