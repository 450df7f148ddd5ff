"""The environment of what flows start: stages, commands of the package, DVC. It knows no Prefect."""

import os
import shutil
import sys
from pathlib import Path

from pipelines import ROOT, TELEMETRY_OFF
from pipelines.supervision.processes import marks


def environment(root: Path = ROOT) -> dict[str, str]:
    """The environment of a stage of `root`: this interpreter comes first, telemetry is off, progress suits its screen.

    It says whose the stage is, so that the next flow can end it if this one is killed, and of which run of Prefect's.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    shown = {}
    if sys.stdout.isatty():
        shown = {"SEQLOOM_PROGRESS": "live", "COLUMNS": str(shutil.get_terminal_size().columns)}
    return {**os.environ, **marks(root), **TELEMETRY_OFF, **shown, "PATH": path, "PYTHONUNBUFFERED": "1"}


def belong_to(flow_run: str | None) -> None:
    """Let all that is started from now on say that it is of this run of Prefect's; None: of none."""
    if flow_run is None:
        os.environ.pop(_FLOW_RUN, None)
    else:
        os.environ[_FLOW_RUN] = flow_run


_FLOW_RUN = "SEQLOOM_FLOW_RUN"
