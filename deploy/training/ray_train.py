"""Train on several machines of a Ray cluster, with Ray Train: a worker per process, restarted if one is lost.

    python deploy/training/ray_train.py --workers 2                                  # on this machine
    RAY_ADDRESS=auto python deploy/training/ray_train.py --workers 16 --gpus         # on a machine of the cluster
    export SEQLOOM_TRAIN_LAUNCHER="python deploy/training/ray_train.py --workers 16 --gpus"

The last line is for `dvc repro` and flows. Each worker runs `python -m seqloom.stages train_model` in this folder,
which all machines must have mounted, with the variables that torchrun would set. Ray's own process group is not used:
signals must reach the trainer's main thread.
"""

import argparse
import ctypes
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Read when Ray is imported. A cluster on this machine alone listens on loopback, and needs a token.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.update(
    {} if "RAY_ADDRESS" in os.environ else {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)
    }
)  # fmt: skip

import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig, get_context
from ray.train.backend import Backend, BackendConfig
from ray.train.collective import broadcast_from_rank_zero
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

ATTEMPTS = 3  # to start a cluster: Ray gives its processes 15 to 30 seconds, too few on a busy machine
TRY_LATER = 75  # as seqloom.exits.TRY_LATER
TRAINER = ("-m", "seqloom.stages", "train_model")


class _SharedDevices(Backend):
    """Every worker sees all GPUs that this run has on its machine, and takes the one of its LOCAL_RANK."""

    share_cuda_visible_devices = True


class _Config(BackendConfig):
    @property
    def backend_cls(self) -> type[Backend]:
        return _SharedDevices


def environment(master: tuple[str, int], threads: int) -> dict[str, str]:
    """Return the environment of the trainer of this worker."""
    context = get_context()
    return {
        **os.environ,
        "RANK": str(context.get_world_rank()),
        "WORLD_SIZE": str(context.get_world_size()),
        "LOCAL_RANK": str(context.get_local_rank()),
        "LOCAL_WORLD_SIZE": str(context.get_local_world_size()),
        "MASTER_ADDR": master[0],
        "MASTER_PORT": str(master[1]),
        "OMP_NUM_THREADS": str(threads),
        "PYTHONUNBUFFERED": "1",
    }


def work(config: dict[str, Any]) -> None:
    """Run the trainer of one worker; Ray calls this in a thread of each."""
    first = get_context().get_world_rank() == 0
    address = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    master = broadcast_from_rank_zero((address, _free_port()) if first else ("", 0))
    status = subprocess.run(
        [sys.executable, *config["trainer"]],
        cwd=config["folder"],
        env=environment(master, config["threads"]),
        stdin=subprocess.DEVNULL,
        preexec_fn=_end_with_worker if sys.platform == "linux" else None,
        check=False,
    ).returncode
    if status:
        raise RuntimeError(f"the trainer of rank {get_context().get_world_rank()} exited with {status} (see above)")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def _end_with_worker() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: Ray kills the workers of a run that failed


def trainer(folder: Path, options: argparse.Namespace, command: Sequence[str] = TRAINER) -> DataParallelTrainer:
    """Return Ray's trainer; its `fit` trains."""
    fewest, _, most = options.workers.partition(":")
    workers: Any = (int(fewest), int(most)) if most else int(fewest)
    return DataParallelTrainer(
        work,
        train_loop_config={"folder": str(folder), "threads": options.threads, "trainer": list(command)},
        backend_config=_Config(),
        scaling_config=ScalingConfig(
            num_workers=workers, use_gpu=options.gpus, resources_per_worker={"CPU": options.threads}
        ),
        run_config=RunConfig(
            name="seqloom-train",
            storage_path=str(folder / "scratch" / "ray"),
            failure_config=FailureConfig(max_failures=options.restarts),
        ),
    )


def connect(cores: int) -> str:
    """Connect to the cluster at RAY_ADDRESS, or start one on this machine; return why neither is possible, else ""."""
    there = "RAY_ADDRESS" in os.environ
    fault = ""
    for _ in range(1 if there else ATTEMPTS):
        try:
            if there:
                ray.init()
            else:
                ray.init(address="local", num_cpus=cores, include_dashboard=False)
            return ""
        except Exception as error:  # Ray raises `Exception` itself if its processes do not start
            ray.shutdown()
            fault = (str(error).strip() or type(error).__name__).splitlines()[0]
    return fault


def main(arguments: Sequence[str]) -> int:
    """Train and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", required=True, help="processes on all machines, or fewest:most, such as 8:16")
    parser.add_argument("--gpus", action="store_true", help="a GPU for each worker")
    parser.add_argument("--threads", type=int, default=1, help="CPU cores and threads of each worker (default: 1)")
    parser.add_argument("--restarts", type=int, default=3, help="how often a lost worker is replaced (default: 3)")
    options = parser.parse_args(arguments)
    workers = int(options.workers.rpartition(":")[2])
    if fault := connect(workers * options.threads):
        print(f"error: there is no Ray cluster: {fault}", file=sys.stderr)
        return TRY_LATER
    try:
        trainer(Path.cwd(), options).fit()
    except ray.train.TrainingFailedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        ray.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
