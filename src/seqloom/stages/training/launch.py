"""The processes of a training run: started by a launcher, on this machine or elsewhere, and stopped by signals."""

import ctypes
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NamedTuple

import torch

from seqloom import places
from seqloom.errors import TrainingError
from seqloom.training.engine import InterruptError
from seqloom.training.settings import LAUNCHER

GRACE = 90.0  # seconds for the last checkpoint before the launcher is killed


class LocalProcesses(NamedTuple):
    """This process among those of the run on this machine."""

    rank: int
    size: int


def launched() -> bool:
    """Return whether a launcher started this process."""
    return "WORLD_SIZE" in os.environ


def local_processes() -> LocalProcesses:
    """Return which of the processes on this machine this is, as the launcher says; without one it is the only one."""
    rank = int(os.environ.get("LOCAL_RANK", "0"))
    return LocalProcesses(rank, int(os.environ.get("LOCAL_WORLD_SIZE", rank + 1)))


def automatic_processes() -> int:
    """Return the number of processes for `auto`: those that a launcher started, else one for each GPU here."""
    return int(os.environ["WORLD_SIZE"]) if launched() else max(1, torch.cuda.device_count())


def started_elsewhere(*, profile: bool) -> bool:
    """Run the command in SEQLOOM_TRAIN_LAUNCHER, which trains on other machines; return whether there is one.

    The command starts `python -m seqloom.stages train_model` in several processes, waits for them, and leaves the
    results of the first one in this folder. If this process ends, the command gets SIGTERM.

    Raises:
        TrainingError: it failed, or there are no results.
    """
    command = os.environ.get(LAUNCHER, "").strip()
    if not command:
        return False
    if profile:
        raise TrainingError(f"--profile works only without {LAUNCHER}, in a process that trains; unset it")
    try:
        status = _wait_for(_start(shlex.split(command)))
    except (OSError, ValueError) as error:
        raise TrainingError(f"{LAUNCHER}: {command!r} cannot be started: {error}") from error
    if status:
        raise TrainingError(
            f"{LAUNCHER}: {command!r} exited with {status} (its output is above); run again to continue from the last "
            "checkpoint"
        )
    if not (places.CANDIDATE.is_dir() and places.TRAINING_METRICS.is_file()):
        raise TrainingError(
            f"{LAUNCHER}: {command!r} has ended, but {places.CANDIDATE} and {places.TRAINING_METRICS} are not here; "
            "the first process must train in this folder, on a file system that both machines share"
        )
    return True


def launch(processes: int, arguments: Sequence[str]) -> None:
    """Run `python -m seqloom.stages` with these arguments in several processes and wait for them.

    If this process ends, they get SIGTERM, so that they write a checkpoint and end too.

    Raises:
        TrainingError: one of them failed, with the reason on stderr; the others were stopped.
    """
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // processes))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as logs:  # the launcher does not remove its logs
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", f"--log-dir={logs}"]
        command = [sys.executable, *launcher, "-m", "seqloom.stages", *arguments]
        status = _wait_for(_start(command, OMP_NUM_THREADS=threads))
    if status:
        raise TrainingError(
            f"one of {processes} processes failed (above); run again to continue from the last checkpoint"
        )


def _start(command: Sequence[str], **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        # Ctrl-C on a terminal reaches the whole process group. Only this process should get it; it stops the others.
        start_new_session=True,
        preexec_fn=_end_with_parent if sys.platform == "linux" else None,
    )


def _wait_for(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
        raise


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


@contextmanager
def stop_requests(*, insist: bool) -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether SIGINT or SIGTERM has arrived.

    If the block raises `InterruptError`, the signal is raised again with its original handler. With `insist`, a second
    signal takes effect at once. Do not use it with several processes: the launcher forwards signals that they may have
    received already.
    """
    received: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if insist:
            restore()

    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: bool(received)
    except InterruptError:
        restore()
        # The checkpoint is written, so end as the signal would have. Another process may have received it instead.
        asked = received[0] if received else int(signal.SIGTERM)
        if before[signal.Signals(asked)] is signal.SIG_IGN:  # as in a script's background job
            raise KeyboardInterrupt from None
        signal.raise_signal(asked)
    finally:
        restore()
