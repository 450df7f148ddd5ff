"""After a flow was killed, the next run ends its processes, sets its run to Crashed and finishes its work."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.supervision.processes import CLONE
from tests.templates import give_prefect_database

pytestmark = [pytest.mark.slow, pytest.mark.drill]

# The first run of the stage waits, and writes its `checkpoint` on SIGINT; the second continues from it.
SLOW = "stages: {first: {cmd: sh work.sh, deps: [params.yaml], outs: [first]}}"
WORK = """
echo first >> runs
if [ ! -e checkpoint ]; then
  trap 'echo half > checkpoint; exit 1' INT
  touch at_work
  while true; do sleep 0.1; done
fi
cp checkpoint first
"""
MAIN = """
import pipelines, sys; from pathlib import Path; pipelines.ROOT = Path.cwd()
import pipelines.train; pipelines.train.main(sys.argv[1:])
"""


def start(root: Path) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    environment |= {"PREFECT_HOME": str(root / ".prefect")}
    return subprocess.Popen(
        [sys.executable, "-c", MAIN], cwd=root, env=environment, stdin=subprocess.DEVNULL, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def marked(root: Path) -> list[str]:
    """Return the command lines of all processes that flows of `root` started."""
    wanted, found = os.fsencode(f"{CLONE}={root}"), []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def states(root: Path) -> list[str]:
    """Return the states of the flow runs in Prefect's database, the oldest first."""
    with sqlite3.connect(f"file:{root}/.prefect/prefect.db?mode=ro", uri=True) as database:
        rows = database.execute("select state_name from flow_run order by created").fetchall()
    database.close()
    return [name for (name,) in rows]


def test_the_run_after_a_killed_one_cleans_up_and_finishes_its_work(make_repository: Callable[[str], Path]) -> None:
    root = make_repository(SLOW)
    give_prefect_database(root / ".prefect")
    (root / "work.sh").write_text(WORK, encoding="utf-8")
    flow = start(root)
    end = time.monotonic() + 180
    while not (root / "at_work").exists() and time.monotonic() < end and flow.poll() is None:
        time.sleep(0.1)
    assert (root / "at_work").exists(), flow.communicate(timeout=60)[0] if flow.poll() is not None else "it hangs"
    flow.send_signal(signal.SIGKILL)
    flow.wait()
    assert flow.stdout is not None
    flow.stdout.close()  # its orphans hold the other end
    left = " ".join(marked(root))
    assert "uvicorn" in left  # Prefect's server
    assert "dvc repro" in left
    assert states(root) == ["Running"]
    again = start(root)
    output, _ = again.communicate(timeout=180)
    assert again.returncode == 0, output
    assert "ended what a killed flow left running" in output
    assert "seqloom: Crashed" in (root / "scratch" / "notices.log").read_text(encoding="utf-8")
    assert (root / "first").read_text(encoding="utf-8") == "half\n"  # it got SIGINT and wrote its checkpoint
    assert (root / "runs").read_text(encoding="utf-8") == "first\n" * 2
    assert states(root) == ["Crashed", "Completed"]
    assert marked(root) == []
