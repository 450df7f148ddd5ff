"""Runs `seqloom sync` beside a stage that writes a journal: MLflow shows the curves, and the stage never waits for it.

What `seqloom sync` cannot send, the next sync sends. Failures are ignored, because no result depends on it.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from seqloom.places import LOGS

LAST_ROUND = 45.0  # seconds to send the rest after the stage has ended

COMMAND = [sys.executable, "-m", "seqloom.cli", "sync"]


@contextmanager
def syncing(root: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Send the journals of `root` to MLflow while the block runs."""
    log = root / LOGS / "sync.log"
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


def sync_remaining(root: Path, environment: Mapping[str, str]) -> None:
    """Send the rest of the journals of killed trainings, and close their runs in MLflow."""
    try:
        subprocess.run(
            COMMAND, cwd=root, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False
        )
    except subprocess.TimeoutExpired:
        return  # the next sync sends it
