"""Measures energy use with the machine's hardware counters, if there are any that may be read.

NVIDIA GPUs since Volta measure their own energy. A CPU with RAPL measures the energy of everything that runs on it,
including other programs. The counters are read through the NVIDIA driver's library and the kernel's files.
"""

import ctypes
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

POWERCAP = Path("/sys/class/powercap")
_NVML = "libnvidia-ml.so.1"

Counter = Callable[[], float]
"""Returns joules since a fixed moment; never decreases."""


class Energy:
    """The energy that the parts of the machine ("gpu", "cpu") have used since this object was created."""

    def __init__(self, counters: dict[str, list[Counter]]) -> None:
        self._counters = {part: each for part, each in counters.items() if each}
        self._start = self._sums()

    def used(self) -> dict[str, float]:
        """Return the used energy of each part in whole joules; empty without counters."""
        return {part: float(round(now - self._start[part])) for part, now in self._sums().items()}

    def _sums(self) -> dict[str, float]:
        return {part: sum(counter() for counter in each) for part, each in self._counters.items()}


def measure_energy(gpus: Sequence[str]) -> Energy:
    """Start measuring the CPU and the GPUs with these UUIDs, as far as they have readable counters."""
    return Energy({"gpu": gpu_counters(gpus), "cpu": cpu_counters()})


def cpu_counters(folder: Path = POWERCAP) -> list[Counter]:
    """Return a counter for each RAPL package. They handle the wraparound (at 100 W, every 40 minutes)."""
    found: list[Counter] = []
    for package in sorted(folder.glob("intel-rapl:[0-9]*")):
        if package.name.count(":") == 1:
            try:
                found.append(_Wrapping(package / "energy_uj", int((package / "max_energy_range_uj").read_text())))
            except (OSError, ValueError):
                continue  # on most machines only root may read it
    return found


class _Wrapping:
    def __init__(self, file: Path, largest: int) -> None:
        self._file, self._largest = file, largest
        self._last, self._wraps = int(file.read_text()), 0

    def __call__(self) -> float:
        try:
            now = int(self._file.read_text())
        except (OSError, ValueError):
            now = self._last
        self._wraps += now < self._last
        self._last = now
        return (self._wraps * self._largest + now) / 1e6


class _Gpu(NamedTuple):
    library: ctypes.CDLL
    handle: ctypes.c_void_p

    def millijoules(self) -> int | None:
        used = ctypes.c_ulonglong()
        failed = self.library.nvmlDeviceGetTotalEnergyConsumption(self.handle, ctypes.byref(used))
        return None if failed else used.value


def gpu_counters(uuids: Sequence[str], library: str = _NVML) -> list[Counter]:
    """Return a counter for each GPU that counts its energy."""
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
