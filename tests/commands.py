"""Run commands in the process of the test: a separate process takes a second, mostly for imports."""

import contextlib
import io
from pathlib import Path

import pytest
from dvc.cli import main as run_dvc

from seqloom.cli.main import main as run_seqloom


def dvc(root: Path, *words: str) -> None:
    """Run a command of DVC quietly in `root`; fail if it fails."""
    with contextlib.chdir(root):
        assert run_dvc([*words, "-q"]) == 0, words


def seqloom(root: Path, *words: str, given: str = "") -> None:
    """Run a command of seqloom in `root`, with `given` as its standard input; if it fails, it raises `SystemExit`."""
    with contextlib.chdir(root), pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
        run_seqloom(words)
