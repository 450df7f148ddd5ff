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
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqloom.errors import ParamsError, ShardError
from seqloom.exits import FAILED, TRY_LATER
from seqloom.sharding.ray import connect, library
from seqloom.sharding.settings import WorkerSettings

TRAINER = ("-m", "seqloom.stages", "train_model")


def shared_devices() -> Any:
    """Return Ray's settings with which every worker sees all GPUs that this run has on its machine.

    Each trainer chooses one of them by its LOCAL_RANK.
    """
    from ray.train.backend import Backend, BackendConfig

    class SharedDevices(Backend):
        share_cuda_visible_devices = True

    class Config(BackendConfig):
        @property
        def backend_cls(self) -> type[Backend]:
            return SharedDevices

    return Config()


def environment(context: Any, master: tuple[str, int], threads: int) -> dict[str, str]:
    """Return the environment of the trainer of the worker with this place in the run."""
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
    from ray.train import get_context
    from ray.train.collective import broadcast_from_rank_zero
    from ray.util import get_node_ip_address

    context = get_context()
    rank = context.get_world_rank()
    own = (str(get_node_ip_address()), _free_port()) if rank == 0 else ("", 0)  # type: ignore[no-untyped-call]
    status = subprocess.run(
        [sys.executable, *config["trainer"]],
        cwd=config["folder"],
        env=environment(context, broadcast_from_rank_zero(own), config["threads"]),
        stdin=subprocess.DEVNULL,
        preexec_fn=_end_with_worker if sys.platform == "linux" else None,
        check=False,
    ).returncode
    if status:
        raise RuntimeError(f"the trainer of rank {rank} exited with {status} (see above)")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def _end_with_worker() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: Ray kills the workers of a run that failed


def trainer(folder: Path, options: argparse.Namespace, command: Sequence[str] = TRAINER) -> Any:
    """Return Ray's trainer; its `fit` trains."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    fewest, _, most = options.workers.partition(":")
    workers: Any = (int(fewest), int(most)) if most else int(fewest)
    return DataParallelTrainer(
        work,
        train_loop_config={"folder": str(folder), "threads": options.threads, "trainer": list(command)},
        backend_config=shared_devices(),
        scaling_config=ScalingConfig(
            num_workers=workers, use_gpu=options.gpus, resources_per_worker={"CPU": options.threads}
        ),
        run_config=RunConfig(
            name="seqloom-train",
            storage_path=str(folder / "scratch" / "ray"),
            failure_config=FailureConfig(max_failures=options.restarts),
        ),
    )


def main(arguments: Sequence[str]) -> int:
    """Train and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", required=True, help="processes on all machines, or fewest:most, such as 8:16")
    parser.add_argument("--gpus", action="store_true", help="a GPU for each worker")
    parser.add_argument("--threads", type=int, default=1, help="CPU cores and threads of each worker (default: 1)")
    parser.add_argument("--restarts", type=int, default=3, help="how often a lost worker is replaced (default: 3)")
    options = parser.parse_args(arguments)
    workers = int(options.workers.rpartition(":")[2])
    try:
        ray = library(local="RAY_ADDRESS" not in os.environ)
        connect(ray, WorkerSettings(launcher="ray", count=workers, cpus=options.threads))
    except ParamsError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except ShardError as error:
        print(f"error: there is no Ray cluster: {error}", file=sys.stderr)
        return TRY_LATER
    from ray.train import TrainingFailedError

    try:
        trainer(Path.cwd(), options).fit()
    except TrainingFailedError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    finally:
        ray.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
