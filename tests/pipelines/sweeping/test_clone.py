"""The copy of the clone in which trials train."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.sweeping.clone import make_clone


@pytest.mark.slow
def test_the_cache_is_found_after_the_clone_was_moved(tmp_path: Path) -> None:
    root = tmp_path / "clone"
    (root / ".dvc" / "cache").mkdir(parents=True)
    (root / ".dvc" / "config").write_text("[core]\n    no_scm = true\n")
    make_clone(root, root / "scratch" / "sweeps" / "x" / "clone")
    here = tmp_path / "a möve"
    root.rename(here)
    copy = here / "scratch" / "sweeps" / "x" / "clone"
    configured = subprocess.run(
        [sys.executable, "-m", "dvc", "config", "cache.dir"], cwd=copy, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert (copy / ".dvc" / configured).resolve() == here / ".dvc" / "cache"
    assert str(tmp_path) not in (copy / ".dvc" / "config.local").read_text()
