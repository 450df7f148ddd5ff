"""Folders and servers that take seconds to make, made once for all worker processes of a test session."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
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


def leave_running(server: int, folder: Path) -> Path:
    """Let the server of the template `folder` run until the session ends; return its folder in /proc."""
    (folder / "process").write_text(str(server), encoding="utf-8")
    return Path("/proc") / str(server)


def end_servers() -> None:
    """Kill the servers that are running; tests/conftest.py calls this when the session ends."""
    for note in Path(os.environ[VARIABLE]).glob("*/process"):
        with suppress(ProcessLookupError):
            os.kill(int(note.read_text(encoding="utf-8")), signal.SIGKILL)


def give_prefect_database(home: Path) -> None:
    """Put an empty database of Prefect into `home`: its hundred migrations take ten seconds of processor time."""
    home.mkdir(parents=True, exist_ok=True)
    shutil.copy(template("prefect", _migrate) / "prefect.db", home)


def _migrate(home: Path) -> None:
    upgrade = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_API_")}
    subprocess.run(upgrade, env=environment | {"PREFECT_HOME": str(home)}, check=True, capture_output=True)
