"""Folders and servers that take seconds to make, made once for all worker processes of a test session."""

import fcntl
import os
import shutil
import signal
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
    """Put an empty database of Prefect into `home`; see `_make_database`."""
    home.mkdir(parents=True, exist_ok=True)
    shutil.copy(template("prefect", _make_database) / "prefect.db", home)


def _make_database(home: Path) -> None:
    """Make Prefect's tables at once: its hundred migrations lead to the same in ten seconds of processor time."""
    from tests.forked import Forked

    process = Forked(lambda: _make_tables(home / "prefect.db"))  # so that this process imports no server
    _, errors = process.communicate()
    assert process.returncode == 0, errors


def _make_tables(path: Path) -> None:
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from prefect.server.database import _migrations, provide_database_interface
    from sqlalchemy import create_engine

    database = provide_database_interface()
    for table in database.Base.metadata.tables.values():
        table.indexes = set({index.name: index for index in table.indexes}.values())  # one of them is declared twice
    [folder] = _migrations.__path__
    migrations = ScriptDirectory(folder, version_locations=[str(database.orm.versions_dir)])
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        database.Base.metadata.create_all(connection)
        MigrationContext.configure(connection).stamp(migrations, "heads")
    engine.dispose()
