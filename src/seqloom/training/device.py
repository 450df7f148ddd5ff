"""Where and in which precision a model is trained: the one place that decides by device."""

import ctypes
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch

from seqloom.errors import TrainingError
from seqloom.training.settings import TrainSettings


class Placement(NamedTuple):
    """A device and the precision of its matrix products; weights and optimiser stay fp32 throughout."""

    device: torch.device
    bf16: bool

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which a forward pass runs."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else nullcontext()

    def describe(self) -> str:
        """What can change the bytes of a result besides data, params and code."""
        name = torch.cuda.get_device_name() if self.device.type == "cuda" else f"{torch.get_num_threads()} threads"
        return f"{self.device.type} ({name}), {'bf16' if self.bf16 else 'fp32'}, torch {torch.__version__}"


def place(settings: TrainSettings) -> Placement:
    """Choose the device and the precision. Raises `TrainingError` where what was asked for is not there."""
    wanted = settings.device
    if wanted == "cuda" and not torch.cuda.is_available():
        raise TrainingError("train.device is 'cuda', but torch finds no GPU here; use 'auto' or 'cpu'")
    device = torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")
    # On a CPU without bf16 instructions autocast to bf16 takes three times as long as fp32.
    bf16 = settings.precision == "bf16" or (
        settings.precision == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported()
    )
    return Placement(device, bf16)


def be_deterministic(seed: int) -> None:
    """Seed every generator of torch and let it use deterministic kernels only."""
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False


def keep_freed_memory() -> None:
    """Let glibc keep what is freed instead of handing it back to the system after every step; elsewhere nothing.

    A step frees and takes the same large blocks again; giving the pages back and faulting them in anew cost 7 to 47%
    of a step. The price is that memory stays at its peak until the process ends, so only a training process asks for
    this, and only at its own door (`stages/train_model.py`).
    """
    if sys.platform == "linux":
        try:
            mallopt = ctypes.CDLL("libc.so.6").mallopt
        except (OSError, AttributeError):  # another libc: it has its own ways
            return
        mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD
        mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
