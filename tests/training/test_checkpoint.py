import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from seqloom.errors import CheckpointError
from seqloom.training.checkpoint import Checkpoint, Checkpoints


def checkpoint(step: int) -> Checkpoint:
    return Checkpoint(
        {"w": torch.full((3,), float(step))}, {"w": torch.full((3,), step / 2)}, {"0.step": torch.tensor(float(step))},
        {"cpu": torch.get_rng_state()}, {"step": step, "best": float("-inf")},
    )  # fmt: skip


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    assert checkpoints.newest() is None
    checkpoints.write(7, checkpoint(7))
    found = checkpoints.newest()
    assert found is not None
    assert torch.equal(found.weights["w"], torch.full((3,), 7.0))
    assert torch.equal(found.average["w"], torch.full((3,), 3.5))
    assert torch.equal(found.generators["cpu"], torch.get_rng_state())
    assert found.state == {"step": 7, "best": float("-inf")}


def test_without_a_moving_average_there_is_no_file_of_it(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.write(1, checkpoint(1)._replace(average={}))
    found = checkpoints.newest()
    assert found is not None
    assert found.average == {}
    assert not (tmp_path / "step-00000001" / "average.safetensors").exists()


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (5, 10, 100000):
        checkpoints.write(step, checkpoint(step))
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["step-00000010", "step-00100000"]


@pytest.mark.parametrize("broken", ["model.safetensors", "average.safetensors", "optimizer.safetensors", "state.json"])
def test_a_broken_checkpoint_falls_back_to_the_one_before(tmp_path: Path, broken: str) -> None:
    checkpoints = Checkpoints(tmp_path, keep=3)
    checkpoints.write(1, checkpoint(1))
    checkpoints.write(2, checkpoint(2))
    file = tmp_path / "step-00000002" / broken
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content if broken != "state.json" else content[:50])
    found = checkpoints.newest()
    assert found is not None
    assert found.state["step"] == 1


def test_a_half_written_checkpoint_is_none(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=3)
    (tmp_path / "step.part").mkdir()
    (tmp_path / "step.part" / "state.json").write_text(json.dumps({}))
    assert checkpoints.newest() is None
    checkpoints.write(1, checkpoint(1))
    assert not (tmp_path / "step.part").exists()


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from seqloom.training.checkpoint import Checkpoints\n"
        "with Checkpoints(Path(sys.argv[1]), keep=1).lock(): print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(CheckpointError, match="another process trains"), Checkpoints(tmp_path, keep=1).lock():
            pass
        other.communicate("")
    with Checkpoints(tmp_path, keep=1).lock():
        pass
