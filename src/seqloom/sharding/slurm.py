"""The launcher `slurm`: a job array of SLURM, submitted with submitit; each job does several tasks.

A job that is pre-empted or reaches its time limit is queued again, and goes on where it stopped. All nodes need the
same file system at the same path, because workers read and write the shards themselves; so progress is read from the
results, not from the jobs.
"""

import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from seqloom.errors import ParamsError, ShardError
from seqloom.places import SCRATCH
from seqloom.sharding.local import ONE_THREAD
from seqloom.sharding.settings import WorkerSettings
from seqloom.sharding.step import Outcome, Step, Task, Worker, rows_of

EXTRA = "pip install 'seqloom[slurm]'"
FOLDER = SCRATCH / "slurm"  # submitit's files: what each job is to do, and its log
_JOBS = 8  # if workers.count is null
_REQUEUES = 100  # after a time limit; a pre-empted job is always queued again
_WARNING = 120  # seconds between SLURM's signal and the end of a job
_LOOK = 2.0  # seconds between looks at the results
_SHARED = "all nodes need the clone and its data at the same path of a shared file system"


@dataclass
class Share:
    """The tasks of a job. It is pickled again when the job is pre-empted, and finished tasks are then skipped."""

    step: Step
    tasks: Sequence[Task]
    folder: str  # that paths are relative to

    def __call__(self) -> list[Outcome]:
        """Do the tasks."""
        try:
            os.chdir(self.folder)
        except OSError as error:
            fault = f"{socket.gethostname()} has no {self.folder} ({error.strerror}); {_SHARED}"
            return [Outcome(task, fault=fault, final=True) for task in self.tasks]
        worker = Worker(self.step)
        return [worker.perform(task) for task in self.tasks]

    def checkpoint(self) -> Any:
        """Return what submitit queues again."""
        return import_module("submitit").helpers.DelayedSubmission(self)


class SlurmLauncher:
    """Runs workers as jobs of SLURM."""

    def __init__(self, settings: WorkerSettings, cluster: str = "slurm", look: float = _LOOK) -> None:
        """Import submitit.

        Args:
            settings: `workers` of params.yaml.
            cluster: "slurm", or "local": submitit's processes on this machine, for tests.
            look: seconds between looks at the results.

        Raises:
            ParamsError: submitit is not installed, or this machine cannot submit to SLURM.
        """
        self._settings, self._look = settings, look
        self._executor = _executor(settings, cluster)

    def run(self, step: Step, tasks: Iterator[Task]) -> Iterator[Outcome]:
        """Do the tasks; see `mapping.Launcher`. They are all made before the jobs are submitted.

        Raises:
            ShardError: SLURM refuses the jobs.
        """
        waiting = list(tasks)
        count = min(len(waiting), self._settings.count or _JOBS)
        shares = [Share(step, waiting[first::count], str(Path.cwd())) for first in range(count)]
        running = list(zip(self._submit(shares), shares, strict=True))
        try:
            yield from self._outcomes(running, waiting)
        except BaseException:
            for job, _ in running:
                with suppress(OSError):
                    job.cancel(check=False)
            raise

    def _submit(self, shares: list[Share]) -> list[Any]:
        if not shares:
            return []
        try:
            with self._executor.batch():
                return [self._executor.submit(share) for share in shares]
        except Exception as error:  # submitit has several kinds, and passes on those of sbatch
            raise ShardError(f"SLURM refuses the jobs: {error}; see `workers` in params.yaml") from error

    def _outcomes(self, running: list[tuple[Any, Share]], tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Yield what became of each task: from its result as soon as that is there, else when its job has ended.

        Jobs that have ended are removed from `running`; return when all have.
        """
        left = {task.number: task for task in tasks}
        while left or running:
            for task in list(left.values()):
                if (rows := rows_of(task.folder, task.fingerprint)) is not None:
                    del left[task.number]
                    yield Outcome(task, rows)
            for each in [each for each in running if each[0].done()]:
                running.remove(each)
                for outcome in _ended(*each):
                    if left.pop(outcome.task.number, None):
                        yield outcome
            if running:
                time.sleep(self._look)


def _ended(job: Any, share: Share) -> list[Outcome]:
    """Return what became of the tasks of a job that has ended, perhaps without returning it."""
    try:
        outcomes: list[Outcome] = job.result()
        return outcomes
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        log = Path(job.paths.stderr)
        where = f"see {log}" if log.exists() else f"it left no log, so it may not have seen {log.parent}: {_SHARED}"
        fault = f"its job {job.job_id} ended as {job.state}: {lines[-1].strip()}; {where}"
    outcomes = []
    for task in share.tasks:
        rows = rows_of(task.folder, task.fingerprint)
        outcomes.append(Outcome(task, fault=fault) if rows is None else Outcome(task, rows))
    return outcomes


def _executor(settings: WorkerSettings, cluster: str) -> Any:
    try:
        submitit = import_module("submitit")
    except ModuleNotFoundError as error:
        if error.name != "submitit":
            raise  # it is installed, but one of its own imports is missing
        raise ParamsError(f"workers.launcher is slurm, but the library submitit is not installed; {EXTRA}") from error
    try:
        executor = submitit.AutoExecutor(FOLDER.resolve(), cluster, slurm_max_num_timeout=_REQUEUES)
    except RuntimeError as error:
        raise ParamsError(
            "workers.launcher is slurm, but this machine has no srun: run on a login node of the cluster"
        ) from error
    chosen = settings.slurm
    slurm = {
        "partition": chosen.partition,
        "account": chosen.account,
        "array_parallelism": settings.count or _JOBS,
        "signal_delay_s": _WARNING,
        "additional_parameters": _options(chosen.extra),
    }
    executor.update_parameters(
        name="seqloom",
        timeout_min=settings.minutes,
        cpus_per_task=settings.cpus,
        **({"gpus_per_node": settings.gpus} if settings.gpus else {}),
        slurm_setup=[f"export {name}={value}" for name, value in ONE_THREAD.items()],
        **({} if settings.memory is None else {"mem_gb": settings.memory}),
        **{f"slurm_{name}": value for name, value in slurm.items() if value},
    )
    return executor


def _options(extra: Sequence[str]) -> dict[str, str | bool]:
    """Return options such as `--qos=long` as submitit takes them; one without a value is true."""
    options: dict[str, str | bool] = {}
    for each in extra:
        name, equals, value = each.removeprefix("--").partition("=")
        options[name] = value if equals else True
    return options
