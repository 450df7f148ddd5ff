"""Checkpoints: everything that training must know to go on as if it had never stopped.

A checkpoint is a folder `step-00000300` of `model.safetensors`, `optimizer.safetensors`, `average.safetensors` where a
moving average is kept, and `state.json`, which holds the hashes of the others. It is written beside, flushed to the
disk and renamed, so that a kill at any moment leaves the one before; a broken one is passed over for the one before. No
pickle is written or read.
"""

import base64
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load, save
from torch import Tensor

from seqloom.errors import CheckpointError


class Checkpoint(NamedTuple):
    """Weights, their moving average and optimiser state by name, every device's generator, the engine's own numbers."""

    weights: dict[str, Tensor]
    average: dict[str, Tensor]  # empty where none is kept
    optimizer: dict[str, Tensor]
    generators: dict[str, Tensor]
    state: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run, in one folder, which is made if need be; `keep` of them at the most."""

    def __init__(self, folder: Path, *, keep: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.keep = keep

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only writer. Raises `CheckpointError` where another process trains the same run."""
        with (self.folder / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise CheckpointError(
                    f"{self.folder}: another process trains this very run; wait or stop it"
                ) from error
            yield

    def write(self, step: int, checkpoint: Checkpoint) -> None:
        """Add the checkpoint of `step` and remove what is older than the newest `keep`."""
        target = self.folder / f"step-{step:08d}"
        beside = self.folder / "step.part"
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        files = {
            "model.safetensors": save(_host(checkpoint.weights)),
            "optimizer.safetensors": save(_host(checkpoint.optimizer)),
        }
        if checkpoint.average:
            files["average.safetensors"] = save(_host(checkpoint.average))
        state = {
            "state": checkpoint.state,
            "generators": {n: base64.b64encode(t.numpy().tobytes()).decode() for n, t in checkpoint.generators.items()},
            "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        }
        files["state.json"] = (json.dumps(state) + "\n").encode()
        for name, content in files.items():
            with (beside / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        shutil.rmtree(target, ignore_errors=True)
        beside.rename(target)
        _sync(self.folder)
        for old in self._folders()[: -self.keep]:
            shutil.rmtree(old)

    def newest(self) -> Checkpoint | None:
        """The newest whole checkpoint, or None where there is none."""
        for folder in reversed(self._folders()):
            try:
                return _read(folder)
            except (OSError, ValueError, KeyError):
                continue  # broken on the disk: the one before is as good, only older
        return None

    def _folders(self) -> list[Path]:
        return sorted(self.folder.glob("step-" + "[0-9]" * 8))


def _read(folder: Path) -> Checkpoint:
    stored = json.loads((folder / "state.json").read_text())
    tensors = {}
    for name, expected in stored["sha256"].items():
        content = (folder / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != expected:
            raise ValueError(f"{folder / name} is not what was written")
        tensors[name] = load(content)
    generators = {
        name: torch.frombuffer(bytearray(base64.b64decode(content)), dtype=torch.uint8)
        for name, content in stored["generators"].items()
    }
    return Checkpoint(
        tensors["model.safetensors"],
        tensors.get("average.safetensors", {}),
        tensors["optimizer.safetensors"],
        generators,
        stored["state"],
    )


def _host(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _sync(folder: Path) -> None:
    """Make a rename survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
