from pathlib import Path

import pytest
import torch
from torch import nn

from seqloom.errors import CheckpointError
from seqloom.models.catalogue import weights
from seqloom.training.averaging import MovingAverage, Snapshots, load_into
from seqloom.training.checkpoint import Checkpoints


def linear(value: float) -> nn.Linear:
    layer = nn.Linear(2, 1, bias=False)
    nn.init.constant_(layer.weight, value)
    return layer


def test_the_moving_average_warms_up_to_its_decay() -> None:
    layer = linear(0.0)
    average = MovingAverage(layer, 0.5)
    nn.init.constant_(layer.weight, 1.0)
    distance = 1.0
    for updates, keep in enumerate([1 / 10, 2 / 11, 3 / 12, 4 / 13, 5 / 14, 6 / 15, 7 / 16, 8 / 17, 9 / 18, 0.5, 0.5]):
        average.update(updates)
        distance *= keep
        torch.testing.assert_close(1 - average.tensors["weight"], torch.full((1, 2), distance), atol=1e-6, rtol=0)


def test_the_weights_are_restored_bit_for_bit_even_after_an_error() -> None:
    layer = linear(0.1)
    average = MovingAverage(layer, 0.9)
    nn.init.constant_(layer.weight, 0.3)
    average.update(5)
    own = layer.weight.detach().clone()

    def look() -> None:
        with average.in_place():
            assert torch.equal(layer.weight, average.tensors["weight"])
            assert not torch.equal(layer.weight, own)
            raise KeyError

    with pytest.raises(KeyError):
        look()
    assert torch.equal(layer.weight, own)


def test_frozen_weights_have_no_average() -> None:
    model = nn.Sequential(linear(1.0), linear(2.0))
    model[0].requires_grad_(False)
    assert list(MovingAverage(model, 0.9).tensors) == ["1.weight"]


def test_snapshots_are_needed_while_a_result_can_contain_them(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    snapshots = Snapshots(checkpoints, most=2)
    kept: list[int] = []
    for step, best in ((1, 1), (2, 2), (3, 2), (4, 2), (5, 2)):
        checkpoints.write_snapshot(step, weights(linear(step)))
        kept = snapshots.needed([*kept, step], best)
    assert kept == [1, 2, 4, 5]  # two up to the best, and the last two in case a later one is better
    assert snapshots.up_to(2, kept) == [1, 2]
    layer = linear(0.0)
    load_into(layer, snapshots.mean([1, 2]))
    assert layer.weight.tolist() == [[1.5, 1.5]]


def test_damaged_snapshots_are_not_averaged(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    snapshots = Snapshots(checkpoints, most=2)
    for step in (1, 2):
        checkpoints.write_snapshot(step, weights(linear(step)))
    checkpoints.wait()
    file = tmp_path / "weights-00000002.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    snapshots.mean([1])
    with pytest.raises(CheckpointError, match=r"weights-00000002\.safetensors: is missing or damaged"):
        snapshots.mean([1, 2])
