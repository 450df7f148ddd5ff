"""What a sweep asks of the package: two of its commands, run apart, since a flow loads neither torch nor MLflow."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pipelines.package import RefusedError
from pipelines.stage import environment


def use_preset(clone: Path, preset: Path) -> None:
    """Merge a file of settings into params.yaml of `clone`. Raises `RefusedError`."""
    _run(clone, "preset", str(preset))


def log_trials(root: Path, records: Sequence[Path]) -> None:
    """Bring records of trials to MLflow. Raises `RefusedError`."""
    _run(root, "trial", *map(str, records))


def _run(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "seqloom.cli", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment(folder), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        words = [line.partition("error: ")[2] for line in done.stderr.splitlines()]
        said = "; ".join(filter(None, words)) or (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise RefusedError(said)
