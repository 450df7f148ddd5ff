"""The launcher `local`: worker processes on this machine.

Each worker has its own pipe, so a worker that dies loses one task and no other worker is disturbed.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from seqloom.sharding.step import Outcome, Step, Task, Worker

_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container: microseconds of time per period
# A worker uses one core. With more threads, sums of floating-point numbers would depend on the machine's cores.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"), "1")


class LocalLauncher:
    """Runs workers as processes; with one, everything happens in this process."""

    def __init__(self, workers: int | None = None) -> None:
        """Set the number of workers; None: one per core."""
        self._workers = workers or cores()

    def run(self, step: Step, tasks: Iterator[Task]) -> Iterator[Outcome]:
        """Do the tasks; see `mapping.Launcher`."""
        if self._workers == 1:
            worker = Worker(step)
            return (worker.perform(task) for task in tasks)
        return self._in_processes(step, tasks)

    def _in_processes(self, step: Step, tasks: Iterator[Task]) -> Iterator[Outcome]:
        """Start processes when there is work for them, and end them all, whatever ends this generator."""
        idle: list[_Process] = []
        busy: list[_Process] = []
        ahead: deque[Task] = deque(maxlen=1)  # made while the workers are busy, because making it may take time
        try:
            while True:
                while len(busy) < self._workers:
                    task = ahead.popleft() if ahead else next(tasks, None)
                    if task is None:
                        break
                    process = idle.pop() if idle else _Process(step)
                    busy.append(process)
                    process.give(task)
                if not busy:
                    return
                if not ahead and len(busy) == self._workers:
                    ahead.extend(task for task in [next(tasks, None)] if task)
                ready = wait([process.connection for process in busy])
                for process in [process for process in busy if process.connection in ready]:
                    busy.remove(process)
                    outcome = process.outcome()
                    if process.alive:
                        idle.append(process)
                    yield outcome
        finally:
            for process in [*busy, *idle]:
                process.end()


class _Process:
    """A worker process, and the task that it works on."""

    def __init__(self, step: Step) -> None:
        context = multiprocessing.get_context("spawn")  # a forked process would inherit torch's threads
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, os.getpid()), daemon=True)
        self._process.start()
        theirs.close()  # so that the death of the process ends the pipe
        self._task: Task | None = None
        self.alive = True
        self._send(step)

    def give(self, task: Task) -> None:
        """Let the process begin a task."""
        self._task = task
        self._send(task)

    def outcome(self) -> Outcome:
        """Wait for what became of the task."""
        assert self._task
        with suppress(EOFError, OSError):
            outcome: Outcome = self.connection.recv()
            return outcome
        self.end()
        return Outcome(self._task, fault=f"its worker {_death(self._process.exitcode)}")

    def end(self) -> None:
        """Kill the process. The task that it works on leaves at most an unfinished folder."""
        self.alive = False
        self._process.kill()
        self._process.join()
        self.connection.close()

    def _send(self, content: Any) -> None:
        with suppress(BrokenPipeError):  # if the process is dead, `outcome` tells
            self.connection.send(content)


def _death(exit_code: int | None) -> str:
    if exit_code == -signal.SIGKILL:
        return "was killed; was memory short?"
    if exit_code is not None and exit_code < 0:
        return f"died of {signal.Signals(-exit_code).name}"
    return f"ended with status {exit_code}"


def _work(connection: Connection, parent: int) -> None:
    """Do tasks until the pipe is closed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: end with the parent, even within a task
        if os.getppid() != parent:  # it died before that
            return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends the workers
    os.environ.update(ONE_THREAD)
    with suppress(EOFError):
        worker = Worker(connection.recv())  # imports the step, perhaps torch with it, so the threads are set before
        while True:
            connection.send(worker.perform(connection.recv()))


def cores() -> int:
    """Return the number of cores that this process may use, in a container that of its quota."""
    allowed = len(os.sched_getaffinity(0))
    with suppress(OSError, ValueError):
        quota, period = _QUOTA.read_text(encoding="ascii").split()
        if quota != "max":
            return max(1, min(allowed, int(quota) // int(period)))
    return allowed
