"""Checkpoints: everything that a run needs to resume and end with the same bytes as if never interrupted.

A folder `step-00000300` contains `model.safetensors`, `optimizer.safetensors`, `average.safetensors` if there is a
moving average, and `state.json`. Next to the folders are snapshots, the weights at validations, which several
checkpoints share: `weights-00000300.safetensors`. `SHA256SUMS` in a folder has the hash of every file that the
checkpoint needs, snapshots included; `sha256sum --check SHA256SUMS` checks what this module checks. No pickle is
written or read.

Training continues as soon as the tensors are copied; a thread writes them. After a kill at any moment, or on a full
disk, there is an intact checkpoint: every file is written under another name, flushed to the disk and renamed, a
snapshot is on the disk before the first checkpoint that needs it, and files that a checkpoint needs are removed only
when a newer checkpoint is on the disk.
"""

import base64
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from seqloom.errors import CheckpointError
from seqloom.files import sync_folder
from seqloom.training.background import Background, host_copies

SUMS = "SHA256SUMS"
STATE = "state.json"


class Checkpoint(NamedTuple):
    """The content of a checkpoint, tensors by name.

    `state` is written as JSON; its `snapshots`, if present, are the steps whose snapshots the checkpoint needs.
    """

    weights: dict[str, Tensor]
    average: dict[str, Tensor]  # the moving average; empty if there is none
    optimizer: dict[str, Tensor]
    generators: dict[str, Tensor]
    state: dict[str, Any]

    def packed(self) -> dict[str, Tensor]:
        """Return everything as tensors by name, which can be sent to other processes."""
        state = torch.frombuffer(bytearray(json.dumps(self.state).encode()), dtype=torch.uint8)
        tensors = self._asdict() | {"state": {"": state}}
        return {f"{field}.{name}": tensor for field, each in tensors.items() for name, tensor in each.items()}

    @classmethod
    def unpacked(cls, tensors: Mapping[str, Tensor]) -> "Checkpoint | None":
        """Return what `packed` packed; None if there is nothing."""
        if not tensors:
            return None
        fields: dict[str, dict[str, Tensor]] = {field: {} for field in cls._fields}
        for name, tensor in tensors.items():
            field, _, own = name.partition(".")
            fields[field][own] = tensor
        state = json.loads(bytes(fields.pop("state")[""].numpy()))
        return cls(**fields, state=state)


class DamagedCheckpoint(NamedTuple):
    """A checkpoint that cannot be read, and the reason."""

    folder: Path
    reason: str


class Checkpoints:
    """The checkpoints and snapshots of one run, in one folder, which is created if needed.

    The newest `keep` checkpoints are kept, with the snapshots that they need. If a write fails, the next call that
    writes, waits or reads raises `CheckpointError`.
    """

    def __init__(self, folder: Path, *, keep: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.keep = keep
        self._beside, self._beside_snapshot = folder / "step.part", folder / "weights.part"
        self._aside = folder / "step.old"  # a checkpoint that is being replaced by another one of the same step
        self._background = Background("checkpoints")
        self._sums: dict[str, str] = {}  # of snapshots, by file name

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the folder; on exit, wait until all writes are done.

        Raises:
            CheckpointError: another process trains the same run, or the last checkpoint could not be written.
        """
        with (self.folder / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise CheckpointError(
                    f"{self.folder}: another process is training this run; wait for it or stop it"
                ) from error
            try:
                yield
                self.wait()
            finally:
                self._background.finish()

    def write(self, step: int, checkpoint: Checkpoint) -> None:
        """Write the checkpoint of `step` and remove files that none of the newest `keep` checkpoints needs.

        Returns when everything is copied. If the previous checkpoint is still being written, waits for it first.
        """
        self._background.wait_for("checkpoint")
        tensors = {"model": checkpoint.weights, "optimizer": checkpoint.optimizer}
        if checkpoint.average:
            tensors["average"] = checkpoint.average
        files = {f"{name}.safetensors": host_copies(each) for name, each in tensors.items()}
        generators = {n: base64.b64encode(t.numpy().tobytes()).decode() for n, t in checkpoint.generators.items()}
        state = json.dumps({"state": checkpoint.state, "generators": generators}) + "\n"
        snapshots = [_snapshot(each) for each in checkpoint.state.get("snapshots", [])]
        self._start("checkpoint", step, lambda: self._write(step, files, state, snapshots))

    def write_snapshot(self, step: int, weights: dict[str, Tensor]) -> None:
        """Write the snapshot of `step`; like `write`, return when the weights are copied."""
        self._background.wait_for("snapshot")
        copy = host_copies(weights)
        self._start("snapshot", step, lambda: self._write_snapshot(_snapshot(step), copy))

    def wait(self) -> None:
        """Wait until everything is on the disk.

        Raises:
            CheckpointError: a write failed.
        """
        self._background.wait()

    @property
    def steps(self) -> list[int]:
        """The steps of all checkpoints on the disk, ascending."""
        return [int(folder.name.removeprefix("step-")) for folder in self._folders()]

    def newest(self, listen: Callable[[DamagedCheckpoint], None] = lambda damaged: None) -> Checkpoint | None:
        """Return the newest checkpoint that is intact, snapshots included, or None; pass damaged ones to `listen`."""
        self.wait()
        aside = [folder for folder in [self._aside] if folder.exists()]
        for folder in [*reversed(self._folders()), *aside]:
            try:
                return self._read(folder)
            except FileNotFoundError as error:
                listen(DamagedCheckpoint(folder, f"{Path(error.filename).name} is missing"))
            except KeyError as error:
                listen(DamagedCheckpoint(folder, f"{SUMS} does not list {error}"))
            except (OSError, ValueError, SafetensorError) as error:
                listen(DamagedCheckpoint(folder, str(error)))
        return None

    def snapshot(self, step: int) -> dict[str, Tensor]:
        """Return the weights of a snapshot.

        Raises:
            CheckpointError: it is missing or damaged.
        """
        self.wait()
        file = self.folder / _snapshot(step)
        try:
            return _load(_verified(file, self._sum(file.name)))
        except (OSError, ValueError, LookupError, SafetensorError) as error:
            raise CheckpointError(
                f"{file}: is missing or damaged ({error}); run again: training resumes from the last checkpoint that "
                "does not need it, or starts from the beginning"
            ) from error

    def _start(self, kind: str, step: int, write: Callable[[], None]) -> None:
        """Start a write in the background thread."""

        def job() -> None:
            try:
                write()
            except (OSError, SafetensorError) as error:
                shutil.rmtree(self._beside, ignore_errors=True)  # it takes space, and the disk may be full
                self._beside_snapshot.unlink(missing_ok=True)
                raise CheckpointError(
                    f"{self.folder}: the {kind} of step {step} cannot be written ({error}); if the disk is full, make "
                    "room, then run again: training resumes from the previous checkpoint"
                ) from error

        self._background.start(kind, job)

    def _write(self, step: int, files: dict[str, dict[str, Tensor]], state: str, snapshots: list[str]) -> None:
        sums = {f"../{name}": self._sums[name] for name in snapshots}
        beside, target = self._beside, self.folder / f"step-{step:08d}"
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir()
        for name, tensors in files.items():
            save_file(tensors, beside / name)
        (beside / STATE).write_text(state)
        sums |= {name: _flush(beside / name) for name in [*files, STATE]}  # the state last: a truncated list lacks it
        (beside / SUMS).write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))
        _flush(beside / SUMS)
        sync_folder(beside)
        if target.exists():  # a folder cannot replace another one in one rename
            shutil.rmtree(self._aside, ignore_errors=True)
            target.rename(self._aside)
        beside.rename(target)
        sync_folder(self.folder)
        self._tidy(step)

    def _write_snapshot(self, name: str, weights: dict[str, Tensor]) -> None:
        save_file(weights, self._beside_snapshot)
        digest = _flush(self._beside_snapshot)
        self._beside_snapshot.replace(self.folder / name)
        sync_folder(self.folder)
        self._sums[name] = digest

    def _tidy(self, step: int) -> None:
        """Remove what is no longer needed now that the checkpoint of `step` is on the disk.

        Checkpoints of later steps are damaged ones, skipped when training resumed from an earlier step. Snapshots of
        later steps stay, because the checkpoint that will need them is not written yet.
        """
        past = [folder for folder in self._folders() if folder.name <= f"step-{step:08d}"]
        kept = past[-self.keep :]
        for folder in {*self._folders(), self._aside} - {*kept}:
            shutil.rmtree(folder, ignore_errors=True)
        needed: set[str] = set()
        for folder in kept:
            with suppress(OSError, ValueError):
                needed.update(_read_sums(folder))
        for file in self.folder.glob(_snapshot("*")):
            if f"../{file.name}" not in needed and file.name <= _snapshot(step):
                file.unlink(missing_ok=True)

    def _read(self, folder: Path) -> Checkpoint:
        sums = _read_sums(folder)
        stored = json.loads(_verified(folder / STATE, sums.pop(STATE)))
        snapshots = {name: sums.pop(f"../{name}") for name in map(_snapshot, stored["state"].get("snapshots", []))}
        for name, expected in snapshots.items():
            _verified(self.folder / name, expected)
        tensors = {name: _load(_verified(folder / name, expected)) for name, expected in sums.items()}
        generators = {
            name: torch.frombuffer(bytearray(base64.b64decode(content)), dtype=torch.uint8)
            for name, content in stored["generators"].items()
        }
        self._sums |= snapshots
        return Checkpoint(
            tensors["model.safetensors"],
            tensors.get("average.safetensors", {}),
            tensors["optimizer.safetensors"],
            generators,
            stored["state"],
        )

    def _sum(self, snapshot: str) -> str:
        """Return the hash of a snapshot: as written or verified by this process, or as the last checkpoint lists it."""
        return self._sums.get(snapshot) or _read_sums(self._folders()[-1])[f"../{snapshot}"]

    def _folders(self) -> list[Path]:
        return sorted(self.folder.glob("step-" + "[0-9]" * 8))


def _snapshot(step: int | str) -> str:
    return f"weights-{step:08d}.safetensors" if isinstance(step, int) else f"weights-{step}.safetensors"


def _read_sums(folder: Path) -> dict[str, str]:
    lines = [line.split("  ", 1) for line in (folder / SUMS).read_text().splitlines()]
    return {name: digest for digest, name in lines}


def _verified(file: Path, expected: str) -> bytes:
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != expected:
        raise ValueError(f"the SHA-256 of {file.name} is not the one in SHA256SUMS")
    return content


def _load(content: bytes) -> dict[str, Tensor]:
    # Copied, because tensors in a file are not aligned, and the last bits of a product can depend on the alignment.
    return {name: tensor.clone() for name, tensor in load(content).items()}


def _flush(file: Path) -> str:
    """Flush a file to the disk and return its SHA-256."""
    with file.open("rb") as content:
        os.fsync(content.fileno())
        return hashlib.file_digest(content, "sha256").hexdigest()
