"""The environment of the processes that flows start: stages, `seqloom` commands, DVC. It does not import Prefect."""

import os
import shutil
import sys
from pathlib import Path

from pipelines import ROOT
from pipelines.supervision.processes import process_marks

_FLOW_RUN = "SEQLOOM_FLOW_RUN"


def environment(root: Path = ROOT) -> dict[str, str]:
    """Return the environment of a process that works in `root`.

    This interpreter comes first on PATH. If stdout is a terminal, the process redraws its progress on one line. It is
    marked with the clone and with this process, so that the next flow can end it if this one is killed.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    screen = {}
    if sys.stdout.isatty():
        screen = {"SEQLOOM_PROGRESS": "live", "COLUMNS": str(shutil.get_terminal_size().columns)}
    return {**os.environ, **process_marks(root), **screen, "PATH": path, "PYTHONUNBUFFERED": "1"}


def set_flow_run(flow_run: str | None) -> None:
    """Set the id of the flow run in the environment of processes started from now on; None removes it."""
    if flow_run is None:
        os.environ.pop(_FLOW_RUN, None)
    else:
        os.environ[_FLOW_RUN] = flow_run
