"""Small checkpoints, and damage to them."""

from pathlib import Path

import torch

from seqloom.training.checkpoint import Checkpoint

FILES = ["model.safetensors", "average.safetensors", "optimizer.safetensors", "state.json", "SHA256SUMS"]


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
