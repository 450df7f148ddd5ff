"""Start the stage train_model with torch's launcher, as a cluster does on each of its machines."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
LOGS = "logs"
TRAINER = ["-m", "seqloom.stages", "train_model"]


class Started:
    """A torchrun and what it has written."""

    def __init__(self, command: Sequence[str], folder: Path, environment: dict[str, str]) -> None:
        logs = folder / LOGS
        logs.mkdir(exist_ok=True)
        self._log = logs / str(len([*logs.iterdir()]))
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    def heard(self) -> str:
        """Return what it has written so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def ended(self, status: int | None = None, seconds: float = 240) -> str:
        """Wait until it ends, with this status if one is given; return what it wrote."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not end in {seconds:g} seconds:\n{self.heard()}") from None
        assert status in (None, self._process.returncode), self.heard()
        return self.heard()

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    def trainers(self) -> list[int]:
        """Return the process numbers of the trainers."""
        number = self._process.pid
        return [int(each) for each in Path(f"/proc/{number}/task/{number}/children").read_text().split()]

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill it and its trainers, like a machine that loses its power."""
        trainers = [] if self._process.poll() is not None else self.trainers()
        for number in [self._process.pid, *trainers] if self._process.poll() is None else trainers:
            os.kill(number, signal.SIGKILL)
        self._process.wait()


def torchrun(folder: Path, options: Sequence[str], *, before: Sequence[str] = (), **environment: str) -> Started:
    """Start torchrun in `folder`; `before` is a command that runs it elsewhere, such as in a network namespace."""
    usual = {name: value for name, value in os.environ.items() if not name.startswith(("SEQLOOM", "WORLD_SIZE"))}
    usual |= {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
    # If agent and trainers share a store, trainers that start again find addresses of dead ones in it, and a machine
    # that joins later finds none (torch 2.13).
    usual["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    return Started([*before, *TORCHRUN, *options, *TRAINER], folder, usual | environment)
