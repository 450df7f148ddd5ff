"""`python -m pipelines prefect ...`: Prefect's command line, connected to the server of this clone's `make schedule`.

The schedule writes the URL of its server to scratch/schedule.json, with its process number and start time. A file left
by a killed schedule is ignored.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines import ROOT
from pipelines.supervision.processes import current_process, is_alive, parse
from seqloom.files import write_json
from seqloom.places import SCRATCH

API = "PREFECT_API_URL"
NOTE = SCRATCH / "schedule.json"
WIDE = 110  # columns of the table of flow runs
_WITHOUT_SERVER = {"version", "config", "profile"}  # commands of Prefect that need no server
_HELP = {"-h", "--help", "-v", "--version"}
NO_SCHEDULE = "error: no schedule is running in this clone; start it with `make schedule`, or set PREFECT_API_URL"


@contextmanager
def announced(root: Path, url: str) -> Iterator[None]:
    """Keep the URL of the schedule's server in scratch/schedule.json while the block runs."""
    path = root / NOTE
    write_json(path, {"api": url, "process": str(current_process())})
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def find_schedule(root: Path) -> str | None:
    """Return the URL of the API of the schedule that runs in `root`, or None if no schedule does."""
    try:
        content = json.loads((root / NOTE).read_bytes())
        url, process = str(content["api"]), parse(content["process"])
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return url if process is not None and is_alive(process) else None


def main(arguments: list[str]) -> None:
    """Replace this process by Prefect's command line."""
    if not os.environ.get(API):
        url = find_schedule(ROOT)
        if url is not None:
            os.environ[API] = url
        elif arguments and arguments[0] not in _WITHOUT_SERVER and _HELP.isdisjoint(arguments):
            sys.exit(NO_SCHEDULE)
    if arguments[:2] == ["flow-run", "ls"] and shutil.get_terminal_size().columns < WIDE:
        os.environ["COLUMNS"] = str(WIDE)  # a narrower table cuts off the ids that `flow-run cancel` needs
    os.execv(sys.executable, [sys.executable, "-m", "prefect", *arguments])
