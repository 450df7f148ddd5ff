"""Choose the launcher that `workers` in params.yaml, or the environment, asks for."""

import os
from collections.abc import Mapping
from typing import get_args

from seqloom.errors import ParamsError
from seqloom.sharding.local import LocalLauncher, cores
from seqloom.sharding.mapping import Launcher
from seqloom.sharding.settings import LauncherName, WorkerSettings

LAUNCHER, WORKERS = "SEQLOOM_LAUNCHER", "SEQLOOM_WORKERS"


def choose_launcher(
    settings: WorkerSettings, environment: Mapping[str, str] = os.environ, *, device: str = "cpu"
) -> Launcher:
    """Return the launcher; it starts workers only when there is work.

    Args:
        settings: `workers` of params.yaml.
        environment: SEQLOOM_LAUNCHER and SEQLOOM_WORKERS in it override `launcher` and `count`.
        device: where the work needs a model: cpu, cuda or auto. Without `count`, a GPU here gets a single local worker.

    Raises:
        ParamsError: a variable is not valid, or the launcher needs a library that is not installed.
    """
    settings = _overridden(settings, environment)
    match settings.launcher:
        case "local":
            return LocalLauncher(settings.count or (1 if _is_gpu(device) else _that_fit(settings)))
        case "ray":
            from seqloom.sharding.ray import RayLauncher

            return RayLauncher(settings)
        case "slurm":
            from seqloom.sharding.slurm import SlurmLauncher

            return SlurmLauncher(settings)


def _is_gpu(device: str) -> bool:
    """Return whether a device is a GPU; `auto` is one if this machine has one."""
    if device != "auto":
        return device.startswith("cuda")
    import torch

    return torch.cuda.is_available()


def _that_fit(settings: WorkerSettings) -> int:
    """Return how many workers this machine has cores and memory for, at least 1."""
    fitting = cores() // settings.cpus
    if settings.memory is not None:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        fitting = min(fitting, int(memory / (settings.memory * 1e9)))
    return max(1, fitting)


def _overridden(settings: WorkerSettings, environment: Mapping[str, str]) -> WorkerSettings:
    changes: dict[str, object] = {}
    if name := environment.get(LAUNCHER):
        if name not in get_args(LauncherName):
            raise ParamsError(f"{LAUNCHER} is {name!r}; valid are {', '.join(get_args(LauncherName))}")
        changes["launcher"] = name
    if count := environment.get(WORKERS):
        if not count.isascii() or not count.isdigit() or not 1 <= int(count) <= 100_000:
            raise ParamsError(f"{WORKERS} is {count!r}; it must be a whole number of workers, at least 1")
        changes["count"] = int(count)
    return settings.model_copy(update=changes)
