"""A checkpoint that is damaged or incomplete is never used."""

import json
from pathlib import Path

import pytest

from seqloom.errors import CheckpointError
from seqloom.training.checkpoint import Checkpoints, DamagedCheckpoint
from tests.training.checkpoints import FILES, checkpoint, damage, names, snapshot


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
