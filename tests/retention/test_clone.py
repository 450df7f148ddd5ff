import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.errors import BusyError
from pipelines.supervision.clone_lock import hold_clone
from seqloom.errors import LockedError
from seqloom.places import FLOW_LOCK
from seqloom.retention.clone import held_clone, is_locked


def test_flows_and_the_removal_of_files_exclude_each_other(tmp_path: Path) -> None:
    with held_clone(tmp_path), pytest.raises(BusyError, match=f"process {os.getpid()}"), hold_clone(tmp_path):
        pass
    with (
        hold_clone(tmp_path),
        pytest.raises(LockedError, match=rf"a run \(process {os.getpid()}\).*--only versions"),
        held_clone(tmp_path),
    ):
        pass
    with held_clone(tmp_path):
        pass


def test_the_mark_of_a_killed_flow_is_left_for_the_next_one(tmp_path: Path) -> None:
    (tmp_path / FLOW_LOCK).parent.mkdir()
    (tmp_path / FLOW_LOCK).write_text("123", encoding="utf-8")
    with held_clone(tmp_path):
        pass
    with hold_clone(tmp_path) as killed:
        assert killed


def test_a_dvc_command_that_runs_is_named_and_a_dead_one_ignored(tmp_path: Path) -> None:
    rwlock = tmp_path / ".dvc" / "tmp" / "rwlock"
    rwlock.parent.mkdir(parents=True)
    program = tmp_path / "bin" / "dvc"
    program.parent.mkdir()
    program.write_text("import time; time.sleep(60)", encoding="utf-8")
    dvc = subprocess.Popen([sys.executable, str(program), "repro"])
    try:
        while b"bin/dvc" not in Path(f"/proc/{dvc.pid}/cmdline").read_bytes():
            time.sleep(0.01)
        rwlock.write_text(json.dumps({"write": {"out": {"pid": dvc.pid, "cmd": "dvc repro"}}}), encoding="utf-8")
        with pytest.raises(LockedError, match=rf"a DVC command \(process {dvc.pid}\)"), held_clone(tmp_path):
            pass
    finally:
        dvc.kill()
        dvc.wait()
    with held_clone(tmp_path):
        assert is_locked(tmp_path / FLOW_LOCK)
