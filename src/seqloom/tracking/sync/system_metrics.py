"""The load of this machine's CPUs, memory and GPUs, under MLflow's names for system metrics."""

import shutil
import subprocess

import psutil

_ASKED = "utilization.gpu,memory.used,memory.total,power.draw"
_PATIENCE = 5.0  # seconds to wait for nvidia-smi
_MEGABYTE = 1e6


def measure() -> dict[str, float]:
    """Return the current values; CPU utilization is the mean since the last call."""
    memory = psutil.virtual_memory()
    found = {
        "system/cpu_utilization_percentage": psutil.cpu_percent(),
        "system/system_memory_usage_megabytes": memory.used / _MEGABYTE,
        "system/system_memory_usage_percentage": memory.percent,
    }
    return found | _gpus()


def _gpus() -> dict[str, float]:
    command = shutil.which("nvidia-smi")
    if command is None:
        return {}
    try:
        done = subprocess.run(
            [command, f"--query-gpu={_ASKED}", "--format=csv,noheader,nounits"],
            capture_output=True, text=True, timeout=_PATIENCE, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return {}
    return read_gpus(done.stdout)


def read_gpus(table: str) -> dict[str, float]:
    """Return the values in a table of nvidia-smi, without those that are [N/A]."""
    found: dict[str, float] = {}
    for index, line in enumerate(table.splitlines()):
        cells = [_number(cell) for cell in line.split(",")]
        if len(cells) != 4:
            continue
        busy, used, total, power = cells
        figures = {
            "utilization_percentage": busy,
            "memory_usage_megabytes": used,
            "memory_usage_percentage": 100 * used / total if used is not None and total else None,
            "power_usage_watts": power,
        }
        found |= {f"system/gpu_{index}_{name}": value for name, value in figures.items() if value is not None}
    return found


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
