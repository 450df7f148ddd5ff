"""The processes of a training run: started by torch's launcher (`torchrun`), stopped by signals."""

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

GRACE = 90.0  # seconds for the last checkpoint before the launcher is killed


def launched() -> bool:
    """Return whether a launcher started this process."""
    return "WORLD_SIZE" in os.environ


def launch(processes: int, arguments: Sequence[str]) -> None:
    """Run `python -m seqloom.stages` with these arguments in several processes and wait for them.

    If this process ends, they get SIGTERM, so that they write a checkpoint and end too.

    Raises:
        TrainingError: one of them failed, with the reason on stderr; the others were stopped.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as logs:  # the launcher does not remove its logs
        status = _wait_for(_start(processes, arguments, logs))
    if status:
        raise TrainingError(
            f"one of {processes} processes failed (above); run again to continue from the last checkpoint"
        )


def _start(processes: int, arguments: Sequence[str], logs: str) -> subprocess.Popen[bytes]:
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", f"--log-dir={logs}"]
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // processes))
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "seqloom.stages", *arguments],
        env={**os.environ, "OMP_NUM_THREADS": threads},
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
