"""If the disk is full when a stage starts, the stage fails with one line, and succeeds once there is space."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.small_clone import STAGES

pytestmark = [pytest.mark.slow, pytest.mark.drill]

PROGRAM = """
import json, os, subprocess, sys
from pathlib import Path
from tests.small_clone import STAGES, Clone, use_own_pairs

clone = Clone(Path.cwd() / "clone")
use_own_pairs(clone)
filler = Path("filler")
environment = {**clone.environment, "PYTHONDONTWRITEBYTECODE": "1"}


def run(stage):
    command = [sys.executable, "-m", "seqloom.stages", stage]
    return subprocess.run(command, cwd=clone.folder, env=environment, capture_output=True, text=True)


for stage in STAGES:
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    full = run(stage)
    filler.unlink()
    again = run(stage)
    errors = [line for line in full.stderr.splitlines() if line.startswith("error: ")]
    print(json.dumps([stage, full.returncode, errors, "Traceback" in full.stderr, again.returncode, again.stderr]))
"""

OPTIONAL = ("translate_corpus", "score_corpus")


def test_every_stage_reports_a_full_disk_and_succeeds_later(tmp_path: Path) -> None:
    """On a disk of 40 MB, which an unprivileged user can have on most Linux machines."""
    shell = 'mount -t tmpfs -o size=40m none "$0" && cd "$0" && exec "$@"'
    mounted = ["unshare", "--map-root-user", "--mount", "sh", "-c", shell, str(tmp_path)]
    try:
        subprocess.run([*mounted, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no disk can be mounted here")
    done = subprocess.run([*mounted, sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [stage for stage, *_ in found] == STAGES
    for stage, status, errors, traceback, after, message in found:
        if "switched off" in message:  # it writes an empty folder, for which there is room
            assert (stage in OPTIONAL, status, errors) == (True, 0, []), message
            continue
        assert (stage, status, traceback, after) == (stage, 1, False, 0), message
        assert len(errors) == 1
        assert "no space is left" in errors[0]
