"""How much energy this machine has used since somebody began to ask, where its hardware counts it.

NVIDIA's GPUs (since Volta) count what they use by themselves; a CPU with RAPL counts for all that runs on it, other
programs included. Reading needs no library: the driver's own and files of the kernel. What cannot be read is left out.
"""

import ctypes
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

POWERCAP = Path("/sys/class/powercap")
_NVML = "libnvidia-ml.so.1"

Counter = Callable[[], float]
"""Joules since some moment; it never falls."""


class Energy:
    """Joules of each part of the machine ("gpu", "cpu") since this was made."""

    def __init__(self, counters: dict[str, list[Counter]]) -> None:
        self._counters = {part: each for part, each in counters.items() if each}
        self._begun = self._sums()

    def used(self) -> dict[str, float]:
        """What was used, in whole joules; empty where nothing counts."""
        return {part: float(round(now - self._begun[part])) for part, now in self._sums().items()}

    def _sums(self) -> dict[str, float]:
        return {part: sum(counter() for counter in each) for part, each in self._counters.items()}


def of_this_machine(gpus: Sequence[str]) -> Energy:
    """The counters of the CPU and of the GPUs of these UUIDs, as far as there are any that may be read."""
    return Energy({"gpu": gpu_counters(gpus), "cpu": cpu_counters()})


def cpu_counters(folder: Path = POWERCAP) -> list[Counter]:
    """One for each package of RAPL. They start again at zero now and then (at 100 W, every 40 minutes)."""
    found: list[Counter] = []
    for package in sorted(folder.glob("intel-rapl:[0-9]*")):
        if package.name.count(":") == 1:
            try:
                found.append(_Wrapping(package / "energy_uj", int((package / "max_energy_range_uj").read_text())))
            except (OSError, ValueError):
                continue  # only root may read it on most machines
    return found


class _Wrapping:
    def __init__(self, file: Path, largest: int) -> None:
        self._file, self._largest = file, largest
        self._last, self._turns = int(file.read_text()), 0

    def __call__(self) -> float:
        try:
            now = int(self._file.read_text())
        except (OSError, ValueError):
            now = self._last
        self._turns += now < self._last
        self._last = now
        return (self._turns * self._largest + now) / 1e6


class _Gpu(NamedTuple):
    library: ctypes.CDLL
    handle: ctypes.c_void_p

    def millijoules(self) -> int | None:
        used = ctypes.c_ulonglong()
        failed = self.library.nvmlDeviceGetTotalEnergyConsumption(self.handle, ctypes.byref(used))
        return None if failed else used.value


def gpu_counters(uuids: Sequence[str], library: str = _NVML) -> list[Counter]:
    """One for each GPU that counts its energy."""
    if not uuids:
        return []
    try:
        nvml = ctypes.CDLL(library)
        if nvml.nvmlInit_v2():
            return []
    except (OSError, AttributeError):
        return []
    found: list[Counter] = []
    for uuid in uuids:
        handle = ctypes.c_void_p()
        name = (uuid if uuid.startswith("GPU-") else f"GPU-{uuid}").encode()
        if nvml.nvmlDeviceGetHandleByUUID(name, ctypes.byref(handle)):
            continue
        gpu = _Gpu(nvml, handle)
        if (begun := gpu.millijoules()) is not None:
            found.append(_Counting(gpu, begun))
    return found


class _Counting:
    def __init__(self, gpu: _Gpu, begun: int) -> None:
        self._gpu, self._last = gpu, begun

    def __call__(self) -> float:
        now = self._gpu.millijoules()
        self._last = self._last if now is None else now
        return self._last / 1000
