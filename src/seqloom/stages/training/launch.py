"""Runs a stage as several processes that train one model, through torch's own launcher (`torchrun`)."""

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from seqloom.errors import TrainingError
from seqloom.training.engine import InterruptError

GRACE = 90.0  # seconds for the last checkpoint, after which the launcher is ended


def launched() -> bool:
    """Whether this process is one of those that a launcher started."""
    return "WORLD_SIZE" in os.environ


def launch(processes: int, arguments: Sequence[str]) -> None:
    """Run `python -m seqloom.stages` with these arguments in several processes and wait for them.

    However this process ends, they end too: asked first, so that a checkpoint is written.

    Raises:
        TrainingError: one of them failed, and said on stderr why; the others were ended.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as logs:  # its launcher never cleans up
        status = _wait_for(_start(processes, arguments, logs))
    if status:
        raise TrainingError(f"one of {processes} processes failed (above); run again to go on from the last checkpoint")


def _start(processes: int, arguments: Sequence[str], logs: str) -> subprocess.Popen[bytes]:
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", f"--log-dir={logs}"]
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // processes))
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "seqloom.stages", *arguments],
        env={**os.environ, "OMP_NUM_THREADS": threads},
        stdin=subprocess.DEVNULL,
        # Ctrl-C on a terminal reaches a whole group of processes; it shall reach this one alone, which passes it on.
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
    """Whether SIGINT or SIGTERM has come; at the end of an interrupted run the signal is raised as what it was.

    With `insist` a second one is obeyed at once. Of several processes none may: the launcher passes on what a terminal
    has told all of them already.
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
        # The checkpoint is written: end as the signal asked. In several processes each may have got another signal.
        asked = received[0] if received else int(signal.SIGTERM)
        if before[signal.Signals(asked)] is signal.SIG_IGN:  # as in what a script puts into the background
            raise KeyboardInterrupt from None
        signal.raise_signal(asked)
    finally:
        restore()
