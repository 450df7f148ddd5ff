"""`python -m pipelines prefect ...`: Prefect's command line, at the server that `make schedule` runs for this clone.

The schedule writes the URL of its server to scratch/schedule.json, together with its own process number and start. A
file that a killed schedule left behind is ignored.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines import ROOT
from pipelines.supervision.processes import lives, parse, this_process

API = "PREFECT_API_URL"
NOTE = Path("scratch", "schedule.json")
WIDE = 110  # columns of the table of flow runs
_WITHOUT_SERVER = {"version", "config", "profile"}  # commands of Prefect that ask no server
_HELP = {"-h", "--help", "-v", "--version"}
NO_SCHEDULE = "error: no schedule is running in this clone; start it with `make schedule`, or set PREFECT_API_URL"


@contextmanager
def announced(root: Path, url: str) -> Iterator[None]:
    """Keep the URL of the schedule's server in scratch/schedule.json while the block runs."""
    path = root / NOTE
    path.parent.mkdir(exist_ok=True)
    beside = path.with_name(path.name + ".new")
    beside.write_text(json.dumps({"api": url, "process": str(this_process())}), encoding="utf-8")
    beside.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def find_schedule(root: Path) -> str | None:
    """Return the URL of the API of the schedule that runs in `root`, or None if none does."""
    try:
        content = json.loads((root / NOTE).read_bytes())
        url, process = str(content["api"]), parse(content["process"])
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return url if process is not None and lives(process) else None


def main(arguments: list[str]) -> None:
    """Become Prefect's command line."""
    if not os.environ.get(API):
        url = find_schedule(ROOT)
        if url is not None:
            os.environ[API] = url
        elif arguments and arguments[0] not in _WITHOUT_SERVER and _HELP.isdisjoint(arguments):
            sys.exit(NO_SCHEDULE)
    if arguments[:2] == ["flow-run", "ls"] and shutil.get_terminal_size().columns < WIDE:
        os.environ["COLUMNS"] = str(WIDE)  # narrower, it cuts off the ids that `flow-run cancel` needs
    os.execv(sys.executable, [sys.executable, "-m", "prefect", *arguments])
