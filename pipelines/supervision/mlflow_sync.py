"""Beside a stage that writes a journal, a process that sends it to MLflow: the stage itself waits for nobody.

It is the package's `seqloom sync`, which keeps what it could not send for the next time. Nothing that goes wrong with
it concerns the flow.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

LAST_ROUND = 45.0  # seconds that it has to send the rest, before the next stage begins

COMMAND = [sys.executable, "-m", "seqloom.cli", "sync"]


@contextmanager
def followed(root: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Send what trainings of `root` write, until the block ends."""
    log = root / "scratch" / "logs" / "sync.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        sync = subprocess.Popen(
            [*COMMAND, "--follow"], cwd=root, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    try:
        yield
    finally:
        sync.terminate()
        try:
            sync.wait(LAST_ROUND)
        except subprocess.TimeoutExpired:
            sync.kill()
            sync.wait()


def send_rest(root: Path, environment: Mapping[str, str]) -> None:
    """Send what a training that was killed had written, and close its run in MLflow."""
    try:
        subprocess.run(
            COMMAND, cwd=root, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False
        )
    except subprocess.TimeoutExpired:
        return  # a later one will
