"""Folders that take seconds to make, made once for all worker processes of a test session and copied from then on."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

VARIABLE = "TEST_TEMPLATES"  # names the folder that holds them; tests/conftest.py makes one for the session


def template(name: str, make: Callable[[Path], None]) -> Path:
    """Return the session's folder of this name, filled by `make` if it is not there yet. Copy it, do not change it."""
    templates = Path(os.environ[VARIABLE])
    folder, unfinished = templates / name, templates / f"{name}.part"
    with (templates / f"{name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            make(unfinished)
            unfinished.rename(folder)
    return folder


def give_prefect_database(home: Path) -> None:
    """Put an empty database of Prefect into `home`: its hundred migrations take ten seconds of processor time."""
    home.mkdir(parents=True, exist_ok=True)
    shutil.copy(template("prefect", _migrate) / "prefect.db", home)


def _migrate(home: Path) -> None:
    upgrade = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_API_")}
    subprocess.run(upgrade, env=environment | {"PREFECT_HOME": str(home)}, check=True, capture_output=True)
