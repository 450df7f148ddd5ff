"""Keeps the batches of an update that failed, for a person to look at."""

from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import save_file

from seqloom.batching.batches import Batch


def save_batches(batches: Sequence[Batch], file: Path) -> Path:
    """Write the tensors of the batches, named `number.field` such as `0.source`, in place of what was there."""
    tensors = {
        f"{number}.{name}": tensor.contiguous()
        for number, batch in enumerate(batches)
        for name, tensor in batch._asdict().items()
    }
    beside = file.with_suffix(".part")
    save_file(tensors, beside)
    beside.replace(file)
    return file
