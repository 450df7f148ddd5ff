"""The launcher `ray`: actors of a Ray cluster, each of which starts the step once and keeps what it loads.

All machines need the same file system at the same path, because workers read and write the shards themselves. A cluster
that this launcher starts is on this machine only: it listens on the loopback address, has no dashboard, needs a token
that only its own processes know, and ends with this process.
"""

import atexit
import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from seqloom import telemetry
from seqloom.errors import ParamsError, ShardError
from seqloom.sharding.local import cores
from seqloom.sharding.settings import WorkerSettings
from seqloom.sharding.step import Outcome, Step, Task, Worker

EXTRA = "pip install 'seqloom[ray]'"
# Read when ray is imported: by default it listens on all interfaces and stores a token in the home folder.
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}
_QUIET = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else each import warns of a future default
    "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "300",
}
_ATTEMPTS = 3  # to start a cluster: Ray gives its processes 30 seconds, too few on a busy machine
_MEMORY = 100 << 20  # bytes of Ray's object store, which is not used: shards are files
_PATIENCE = 1800  # seconds until some worker has started: a cluster may have to add machines first
_LOOK = 1.0  # seconds between looks at the cluster's workers


class RayLauncher:
    """Runs workers as actors of a Ray cluster."""

    def __init__(self, settings: WorkerSettings) -> None:
        """Import Ray.

        Raises:
            ParamsError: Ray is not installed.
        """
        self._settings = settings
        try:
            self._ray = library(local=_address(settings) is None)
        except ParamsError as error:
            raise ParamsError(f"workers.launcher is ray, but {error}") from error

    def run(self, step: Step, tasks: Iterator[Task]) -> Iterator[Outcome]:
        """Do the tasks; see `mapping.Launcher`.

        Raises:
            ShardError: the cluster cannot be reached, has no room for a worker, or its machines lack this folder.
        """
        connect(self._ray, self._settings)
        crew = _Crew(self._ray, self._settings, step)
        try:
            yield from crew.work(tasks)
        finally:
            crew.dismiss()


class _Member:
    """The class of the actors."""

    def __init__(self, step: Step, folder: str) -> None:
        self._worker, self._folder = Worker(step), folder

    def enter(self) -> str:
        """Go to the folder that paths are relative to, and return what is wrong with it, if anything."""
        try:
            os.chdir(self._folder)
        except OSError as error:
            return (
                f"{socket.gethostname()} has no {self._folder} ({error.strerror}); all machines of a Ray cluster need "
                "the clone and its data at the same path of a shared file system"
            )
        return ""

    def perform(self, task: Task) -> Outcome:
        return self._worker.perform(task)


class _Job(NamedTuple):
    """What an actor does: a task, or None while it starts."""

    actor: Any
    task: Task | None


class _Crew:
    """The actors, as many as there is work for, up to the number of workers."""

    def __init__(self, ray: Any, settings: WorkerSettings, step: Step) -> None:
        self._ray, self._settings, self._step = ray, settings, step
        self._size = settings.count or _that_fit(ray, settings)
        self._idle: list[Any] = []
        self._jobs: dict[Any, _Job] = {}  # by the reference to what the actor returns
        self._waiting: deque[Task] = deque()
        self._kind = ray.remote(_Member).options(
            num_cpus=settings.cpus, num_gpus=settings.gpus, memory=int((settings.memory or 0) * 1e9) or None
        )
        self._begun, self._failures = time.monotonic(), 0

    def work(self, tasks: Iterator[Task]) -> Iterator[Outcome]:
        """Give the tasks to actors that have started, replace actors that die, and yield what became of the tasks."""
        while self._assign(tasks):
            for reference in self._ray.wait(list(self._jobs), timeout=_LOOK)[0]:
                job = self._jobs.pop(reference)
                try:
                    result = self._ray.get(reference)
                except self._ray.exceptions.RayError as error:
                    if job.task:
                        yield Outcome(job.task, fault=f"its worker died; was memory short? ({_first_line(error)})")
                    else:
                        self._failed(error)
                    continue
                self._idle.append(job.actor)
                if job.task:
                    yield result
                elif result:
                    raise ShardError(result)
            self._check_patience()

    def _assign(self, tasks: Iterator[Task]) -> bool:
        """Give tasks to idle actors, and start one for each other task, as far as allowed. Return whether work is left.

        One more task is made than there are workers, because making it may take time.
        """
        busy = sum(job.task is not None for job in self._jobs.values())
        while len(self._waiting) + busy <= self._size and (task := next(tasks, None)):
            self._waiting.append(task)
        while self._waiting and self._idle:
            actor, task = self._idle.pop(), self._waiting.popleft()
            self._jobs[actor.perform.remote(task)] = _Job(actor, task)
            busy += 1
        while len(self._jobs) < min(self._size, busy + len(self._waiting)):
            actor = self._kind.remote(self._step, str(Path.cwd()))
            self._jobs[actor.enter.remote()] = _Job(actor, None)
        return bool(busy or self._waiting)

    def _failed(self, error: Exception) -> None:
        """Count actors that died while they started. Raises `ShardError` if there are more of them than workers."""
        self._failures += 1
        if self._failures > self._size:
            raise ShardError(f"Ray's workers cannot start: {_first_line(error)}") from error

    def _check_patience(self) -> None:
        """Raise `ShardError` if no actor starts for a long time."""
        if any(job.task for job in self._jobs.values()) or self._idle:
            self._begun, self._failures = time.monotonic(), 0
        elif time.monotonic() - self._begun > _PATIENCE:
            raise ShardError(self._no_room())

    def dismiss(self) -> None:
        """End all actors."""
        for actor in [*self._idle, *(job.actor for job in self._jobs.values())]:
            with suppress(Exception):  # the cluster may be gone
                self._ray.kill(actor)

    def _no_room(self) -> str:
        settings, there = self._settings, self._ray.cluster_resources()
        memory = f", memory {settings.memory:g} GB" if settings.memory else ""
        return (
            f"no worker could start on the Ray cluster in {_PATIENCE // 60} minutes: each needs cpus {settings.cpus}, "
            f"gpus {settings.gpus}{memory}, and the whole cluster has CPU {there.get('CPU', 0):g}, "
            f"GPU {there.get('GPU', 0):g}; see `workers` in params.yaml and `ray status`"
        )


def _that_fit(ray: Any, settings: WorkerSettings) -> int:
    """Return how many workers the cluster has room for now, at least 1."""
    there = ray.cluster_resources()
    fitting = [there.get("CPU", 0) // settings.cpus]
    if settings.gpus:
        fitting.append(there.get("GPU", 0) // settings.gpus)
    if settings.memory:
        fitting.append(there.get("memory", 0) // (settings.memory * 1e9))
    return max(1, int(min(fitting)))


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _address(settings: WorkerSettings) -> str | None:
    """Return the address of a cluster that is there, or None. RAY_ADDRESS is set inside a cluster, as by KubeRay."""
    return settings.ray.address or os.environ.get("RAY_ADDRESS") or None


def library(*, local: bool) -> Any:
    """Import Ray, without telemetry, and for a `local` cluster so that others cannot reach it.

    Raises:
        ParamsError: Ray is not installed.
    """
    telemetry.switch_off()
    private = _LOOPBACK | {"RAY_AUTH_TOKEN": secrets.token_hex(32)}  # inherited by the processes of the cluster
    for name, value in (_QUIET | (private if local and "ray" not in sys.modules else {})).items():
        os.environ.setdefault(name, value)
    try:
        return import_module("ray")
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise  # it is installed, but one of its own imports is missing
        raise ParamsError(f"the library ray is not installed; {EXTRA}") from error


def connect(ray: Any, settings: WorkerSettings) -> None:
    """Connect to the cluster, or start one that ends with this process; if connected already, do nothing.

    Raises:
        ShardError: the cluster cannot be reached, or none can be started.
    """
    if ray.is_initialized():
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    address = _address(settings)
    if address is None:
        own = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # short, because a path of a socket has at most 107 bytes
        atexit.register(shutil.rmtree, own, ignore_errors=True)
        atexit.register(ray.shutdown)  # runs before that
        quiet |= {"include_dashboard": False, "object_store_memory": _MEMORY, "_temp_dir": own}
        quiet["num_cpus"] = settings.count * settings.cpus if settings.count else cores()
    for left in range(_ATTEMPTS if address is None else 1, 0, -1):
        try:
            ray.init(address or "local", **quiet)
            return
        except Exception as error:  # Ray raises `Exception` itself if its processes do not start
            ray.shutdown()
            if left == 1:
                raise ShardError(f"workers.ray.address: {address or 'null'}: {_first_line(error)}") from error
