"""The settings of work over shards: which data are shards (`shards`), and who works on them (`workers`)."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from seqloom.settings import Settings

Bytes = Annotated[int, Field(ge=1, le=10**15)]
Count = Annotated[int, Field(ge=1, le=100_000)]
LauncherName = Literal["local", "ray", "slurm"]


def _option(text: str) -> str:
    if not re.fullmatch(r"--[a-z][a-z-]*(=\S+)?", text):
        raise ValueError(f"is {text!r}; valid are options of sbatch such as --qos=long or --exclusive")
    return text


class ShardSettings(Settings):
    """When data are folders of shards with a manifest instead of single files."""

    # bytes of a corpus's text above which it, its tokens and its translations are folders of shards
    above: Annotated[int, Field(ge=0, le=10**15)] = 10**9
    size: Bytes = 256 * 10**6  # bytes of text per shard


class RaySettings(Settings):
    """The launcher `ray`."""

    # auto: the cluster that runs on this machine; HOST:PORT or ray://HOST:10001: another; null: that of the environment
    # variable RAY_ADDRESS, else one on this machine that ends with the work
    address: str | None = None


class SlurmSettings(Settings):
    """The launcher `slurm`."""

    partition: str | None = None  # null: the cluster's default
    account: str | None = None  # null: yours
    # more options of sbatch, such as --qos=long
    extra: list[Annotated[str, AfterValidator(_option)]] = Field(default_factory=list)


class WorkerSettings(Settings):
    """Who works on shards. No result depends on these settings, so no stage runs again when they change.

    The environment variables SEQLOOM_LAUNCHER and SEQLOOM_WORKERS override `launcher` and `count`.
    """

    launcher: LauncherName = "local"  # local: processes of this machine; see docs/LAUNCHERS.md
    # workers; null: local and ray, as many as there are cores for, but one for a model on a GPU of this machine; slurm,
    # 8 jobs
    count: Count | None = None
    cpus: Annotated[int, Field(ge=1, le=1024)] = 1  # cores of each worker; local: only to choose their number
    gpus: Annotated[int, Field(ge=0, le=64)] = 0  # ray and slurm: GPUs of each worker
    # GB of each worker; local: only to choose their number; null: ray and slurm, the cluster's default
    memory: Annotated[float, Field(gt=0, le=100_000)] | None = None
    minutes: Count = 720  # slurm: time limit of a job, after which it is queued again
    ray: RaySettings = RaySettings()
    slurm: SlurmSettings = SlurmSettings()
