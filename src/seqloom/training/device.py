"""The device and precision of a training run, and the settings of torch and the C library that depend on them."""

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
    """A device and the precision of its matrix products; weights and optimiser state are always fp32."""

    device: torch.device
    precision: Precision
    processes: int = 1  # that the settings ask for
    here: int = 1  # processes of the run on this machine

    @property
    def first_loss_scale(self) -> float:
        """The initial factor of the loss; without one, gradients in fp16 would underflow."""
        return 2.0**10 if self.precision == "fp16" else 1.0

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context for a forward pass."""
        lower = LOWER.get(self.precision)
        return nullcontext() if lower is None else torch.autocast(self.device.type, lower)

    def gpus(self) -> list[str]:
        """Return the UUIDs of the GPUs of this machine that the run uses."""
        if self.device.type != "cuda":
            return []
        each = range(min(self.here, torch.cuda.device_count())) if self.here > 1 else [self.device.index or 0]
        return [str(torch.cuda.get_device_properties(index).uuid) for index in each]

    def summary(self) -> str:
        """Return the device, precision, processes and torch version, on which the bytes of a result depend."""
        name = torch.cuda.get_device_name() if self.device.type == "cuda" else f"{torch.get_num_threads()} threads"
        together = f", {self.processes} processes" if self.processes > 1 else ""
        return f"{self.device.type} ({name}), {self.precision}{together}, torch {torch.__version__}"


def place(settings: TrainSettings, *, local_rank: int = 0, here: int = 1, processes: int | None = None) -> Placement:
    """Return the device and precision of process `local_rank` of those `here`, on this machine.

    `processes` are all that the settings ask for, by default those here.

    Raises:
        TrainingError: this machine does not have the requested device.
    """
    wanted = settings.device
    if wanted == "cuda" and not torch.cuda.is_available():
        raise TrainingError("train.device is 'cuda', but torch finds no GPU here; use 'auto' or 'cpu'")
    device = torch.device("cpu")
    if wanted != "cpu" and torch.cuda.is_available():
        if local_rank >= torch.cuda.device_count():
            raise TrainingError(
                f"train.processes is {here}, but there are {torch.cuda.device_count()} GPUs here; use 'auto', or train "
                "on several machines (docs/SCALE.md)"
                if processes is None
                else f"{here} processes were started here, but there are {torch.cuda.device_count()} GPUs; start one "
                "for each"
            )
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
    precision = settings.precision
    if precision == "auto":
        # On a CPU without bf16 instructions autocast to bf16 takes three times as long as fp32.
        precision = "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    return Placement(device, precision, processes or here, here)


def be_deterministic(seed: int) -> None:
    """Seed torch's generators and allow deterministic kernels only; operations without one raise."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read at the first matrix product on a GPU
    torch.manual_seed(seed)
    # use_deterministic_algorithms(True) does the same but imports torch's compiler, which takes seconds and 100 MB.
    torch.set_deterministic_debug_mode("error")
    # We never read uninitialised memory; filling it cost 1 to 3% of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False


def manage_memory() -> None:
    """For training on a CPU, make glibc keep freed memory.

    Every step frees and allocates the same large blocks. Returning their pages to the system and faulting them in again
    cost 7 to 47% of a step; keeping them leaves memory at its peak until the process ends. This affects the whole
    process, so only a training process should call it.
    """
    if sys.platform == "linux":
        try:
            mallopt = ctypes.CDLL("libc.so.6").mallopt
        except (OSError, AttributeError):  # another C library
            return
        mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD
        mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
