"""Where and in which precision a model is trained: the one place that decides by device."""

import ctypes
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, NamedTuple

import torch

from seqloom.errors import TrainingError
from seqloom.training.settings import TrainSettings

Precision = Literal["fp32", "bf16", "fp16"]
LOWER = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Placement(NamedTuple):
    """A device and the precision of its matrix products; weights and optimiser stay fp32 throughout."""

    device: torch.device
    precision: Precision
    processes: int = 1

    @property
    def first_loss_scale(self) -> float:
        """What the loss is multiplied by at first: the gradients of fp16 would underflow without."""
        return 2.0**10 if self.precision == "fp16" else 1.0

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which a forward pass runs."""
        lower = LOWER.get(self.precision)
        return nullcontext() if lower is None else torch.autocast(self.device.type, lower)

    def gpus(self) -> list[str]:
        """The UUIDs of the GPUs that its processes use, those of this machine."""
        if self.device.type != "cuda":
            return []
        each = range(min(self.processes, torch.cuda.device_count())) if self.processes > 1 else [self.device.index or 0]
        return [str(torch.cuda.get_device_properties(index).uuid) for index in each]

    def summary(self) -> str:
        """What can change the bytes of a result besides data, params and code."""
        name = torch.cuda.get_device_name() if self.device.type == "cuda" else f"{torch.get_num_threads()} threads"
        together = f", {self.processes} processes" if self.processes > 1 else ""
        return f"{self.device.type} ({name}), {self.precision}{together}, torch {torch.__version__}"


def place(settings: TrainSettings, *, local_rank: int = 0, processes: int = 1) -> Placement:
    """Choose the device of the process `local_rank` of this machine, and the precision.

    Raises:
        TrainingError: what was asked for is not there.
    """
    wanted = settings.device
    if wanted == "cuda" and not torch.cuda.is_available():
        raise TrainingError("train.device is 'cuda', but torch finds no GPU here; use 'auto' or 'cpu'")
    device = torch.device("cpu")
    if wanted != "cpu" and torch.cuda.is_available():
        if local_rank >= torch.cuda.device_count():
            raise TrainingError(
                f"train.processes is {processes}, but there are {torch.cuda.device_count()} GPUs here; use 'auto'"
            )
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
    precision = settings.precision
    if precision == "auto":
        # On a CPU without bf16 instructions autocast to bf16 takes three times as long as fp32.
        precision = "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    return Placement(device, precision, processes)


def be_deterministic(seed: int) -> None:
    """Seed every generator of torch and let it use deterministic kernels only; what has none raises."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when the first matrix product runs on a GPU
    torch.manual_seed(seed)
    # What use_deterministic_algorithms(True) does, but for torch's compiler: to import that takes seconds, and 100 MB.
    torch.set_deterministic_debug_mode("error")
    # Nothing reads what nobody wrote; to fill it for whoever might took 1 to 3% of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False


def manage_memory() -> None:
    """On a CPU, let glibc keep what a step frees, and oneDNN forget what it made for shapes of long ago.

    A step frees and takes the same large blocks again; giving the pages back to the system and faulting them in anew
    cost 7 to 47% of a step. The price is that memory stays at its peak until the process ends. oneDNN keeps what it
    makes for 1,024 shapes; each new shape of a batch took a tiny recurrent network another 10 MB, for no speed. Only a
    training process asks for this, at its own door (`stages/train_model.py`).
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16")  # read when oneDNN makes the first
    if sys.platform == "linux":
        try:
            mallopt = ctypes.CDLL("libc.so.6").mallopt
        except (OSError, AttributeError):  # another libc: it has its own ways
            return
        mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD
        mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
