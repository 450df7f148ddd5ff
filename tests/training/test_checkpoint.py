import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from seqloom.errors import CheckpointError
from seqloom.training import checkpoint as module
from seqloom.training.checkpoint import Checkpoint, Checkpoints
from tests.forked import Forked
from tests.training.checkpoints import checkpoint, damage, names, snapshot


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


def test_a_checkpoint_arrives_at_another_process_as_it_was_sent() -> None:
    sent = checkpoint(7, 4)
    arrived = Checkpoint.unpacked(sent.packed())
    assert arrived is not None
    assert arrived.state == sent.state
    for here, there in zip(sent[:-1], arrived[:-1], strict=True):
        assert here.keys() == there.keys()
        assert all(torch.equal(here[name], there[name]) for name in here)
    assert Checkpoint.unpacked({}) is None


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
    def hold() -> None:
        with Checkpoints(tmp_path, keep=1).lock():
            sys.stdout.write("locked\n")
            signal.pause()

    other = Forked(hold)
    assert other.stdout.readline() == "locked\n"
    with pytest.raises(CheckpointError, match="another process is training"), Checkpoints(tmp_path, keep=1).lock():
        pass
    other.kill()
    other.communicate()
    with Checkpoints(tmp_path, keep=1).lock():
        pass
