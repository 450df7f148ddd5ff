"""One flow at a time works in a clone, and stale entries of DVC's lock are removed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.errors import BusyError
from pipelines.supervision.clone_lock import hold_clone

MANY = 2**22 + 1  # above the largest process id of Linux


def lock_file(folder: Path) -> Path:
    path = folder / ".dvc" / "tmp" / "rwlock"
    path.parent.mkdir(parents=True)
    return path


def test_a_second_flow_is_refused_with_the_process_of_the_first(tmp_path: Path) -> None:
    with hold_clone(tmp_path), pytest.raises(BusyError, match=f"process {os.getpid()}\\b"), hold_clone(tmp_path):
        pass
    with hold_clone(tmp_path):
        pass


def test_the_lock_is_released_when_its_process_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, signal\nfrom pathlib import Path\nfrom pipelines.supervision.clone_lock import hold_clone\n"
        "with hold_clone(Path()): os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == -9
    with hold_clone(tmp_path) as after_a_kill:
        assert after_a_kill
    with hold_clone(tmp_path) as after_a_kill:
        assert not after_a_kill


@pytest.mark.parametrize("content", ["", "{", "[]", '{"read": {"/x": [{}]}}'])
def test_a_broken_lock_file_is_removed(tmp_path: Path, content: str) -> None:
    path = lock_file(tmp_path)
    path.write_text(content, encoding="utf-8")
    with hold_clone(tmp_path):
        assert not path.exists()


def test_only_locks_of_living_dvc_processes_are_kept(tmp_path: Path) -> None:
    path = lock_file(tmp_path)
    program = tmp_path / "bin" / "dvc"
    program.parent.mkdir()
    program.write_text("print(flush=True); input()", encoding="utf-8")
    command = [sys.executable, str(program), "repro"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as dvc:
        assert dvc.stdout is not None
        dvc.stdout.readline()  # the process has started
        living = {"pid": dvc.pid, "cmd": "dvc repro"}
        dead = {"pid": MANY, "cmd": "dvc repro"}
        reused = {"pid": 1, "cmd": "dvc repro"}
        locks = {"write": {"/a": living, "/b": dead, "/c": reused}, "read": {"/d": [dead, living], "/e": [reused]}}
        path.write_text(json.dumps(locks), encoding="utf-8")
        with hold_clone(tmp_path):
            kept = json.loads(path.read_text(encoding="utf-8"))
        dvc.communicate(b"\n")
    assert kept == {"write": {"/a": living}, "read": {"/d": [living], "/e": []}}
