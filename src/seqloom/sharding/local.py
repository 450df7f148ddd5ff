"""The launcher `local`: worker processes on this machine."""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from seqloom.sharding.step import Function, Outcome, Step, Task, perform

_AHEAD = 1  # tasks beyond one per worker that are made before a worker is free

_function: Function  # of this worker process


class LocalLauncher:
    """Runs workers as processes; with one, everything happens in this process."""

    def __init__(self, workers: int | None = None, threads: int = 1) -> None:
        """Set the number of workers (None: one per core) and the threads of each, which may affect decimals."""
        self._workers = workers or len(os.sched_getaffinity(0))
        self._threads = threads

    def run(self, step: Step, tasks: Iterator[Task]) -> Iterator[Outcome]:
        """Do the tasks; see `mapping.Launcher`."""
        if self._workers == 1:
            return self._here(step, tasks)
        return self._in_processes(step, tasks)

    def _here(self, step: Step, tasks: Iterator[Task]) -> Iterator[Outcome]:
        function: Function | None = None
        for task in tasks:
            function = function or step.start()
            yield perform(function, task)

    def _in_processes(self, step: Step, tasks: Iterator[Task]) -> Iterator[Outcome]:
        """Start processes, and new ones if one of them dies: then the tasks that were being worked on are lost."""
        more = True
        while more:
            with self._pool(step) as pool:
                running: dict[Future[Outcome], Task] = {}
                broken = False
                while not broken:
                    while more and len(running) < self._workers + _AHEAD:
                        task = next(tasks, None)
                        if task is None:
                            more = False
                        else:
                            running[pool.submit(_perform, task)] = task
                    if not running:
                        break
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        task = running.pop(future)
                        try:
                            yield future.result()
                        except BrokenProcessPool:
                            broken = True
                            yield Outcome(task, fault="its worker died, or another one with it; was memory short?")
                for task in running.values():
                    yield Outcome(task, fault="its worker was stopped because another one died")

    def _pool(self, step: Step) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")  # a forked process would inherit torch's threads
        return ProcessPoolExecutor(self._workers, context, _start, (step, self._threads))


def _start(step: Step, threads: int) -> None:
    """Prepare this worker process."""
    global _function
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: end with the parent
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends the workers
    os.environ["OMP_NUM_THREADS"] = str(threads)  # before the step imports torch
    _function = step.start()


def _perform(task: Task) -> Outcome:
    return perform(_function, task)
