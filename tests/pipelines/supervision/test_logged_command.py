"""The output of a command is shown while it runs, and none of its processes is left."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.supervision import logged_command
from pipelines.supervision.logged_command import run_logged


def run(folder: Path, script: str, lines: list[str] | None = None) -> int:
    on_line = (lines if lines is not None else []).append
    return run_logged(
        ["sh", "-c", script], log=folder / "logs" / "x.log", root=folder, environment=os.environ, on_line=on_line
    )


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_status_log_and_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    assert run(tmp_path, "echo ünö; echo two >&2; printf three; exit 3", lines) == 3
    assert lines == ["ünö", "two", "three"]
    assert capsys.readouterr().out == "ünö\ntwo\nthree\n"
    assert (tmp_path / "logs" / "x.log").read_text(encoding="utf-8") == "ünö\ntwo\nthree"


def test_of_a_line_that_redraws_itself_the_last_state_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines: list[str] = []
    run(tmp_path, r"printf '\r1/2\r2/2  \nend\n'", lines)
    assert lines == ["2/2", "end"]
    assert capsys.readouterr().out == "\r1/2\r2/2  \nend\n"


def test_hidden_lines_are_only_in_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    run_logged(
        ["sh", "-c", "echo one; echo; echo two; echo not two"],
        log=tmp_path / "log", root=tmp_path, environment=os.environ, on_line=lines.append, hidden=re.compile("|two"),
    )  # fmt: skip
    assert lines == ["one", "not two"]
    assert capsys.readouterr().out == "one\nnot two\n"
    assert (tmp_path / "log").read_text(encoding="utf-8") == "one\n\ntwo\nnot two\n"


def test_lines_are_shown_while_the_command_runs(tmp_path: Path) -> None:
    def on_line(line: str) -> None:
        (tmp_path / "seen").touch()

    # The command ends only after its line has been seen.
    command = ["sh", "-c", "echo go; while [ ! -e seen ]; do sleep 0.05; done"]
    assert run_logged(command, log=tmp_path / "log", root=tmp_path, environment=os.environ, on_line=on_line) == 0


def test_an_interrupt_reaches_every_process_of_the_group(tmp_path: Path) -> None:
    def interrupt(line: str) -> None:
        pids.extend(map(int, line.split()))
        raise KeyboardInterrupt

    pids: list[int] = []
    script = "trap 'echo asked > asked; exit 130' INT; sh -c 'echo $PPID $$; exec sleep 300'"
    with pytest.raises(KeyboardInterrupt):
        run_logged(["sh", "-c", script], log=tmp_path / "log", root=tmp_path, environment=os.environ, on_line=interrupt)
    assert (tmp_path / "asked").exists()  # it got SIGINT first
    assert len(pids) == 2
    assert not any(map(is_alive, pids))


def test_a_command_that_ignores_sigint_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(line: str) -> None:
        pids.append(int(line))
        raise KeyboardInterrupt

    monkeypatch.setattr(logged_command, "GRACE", 0.3)
    pids: list[int] = []
    script = "trap '' INT; echo $$; while true; do sleep 1; done"
    with pytest.raises(KeyboardInterrupt):
        run_logged(["sh", "-c", script], log=tmp_path / "log", root=tmp_path, environment=os.environ, on_line=interrupt)
    assert not is_alive(pids[0])


def test_a_child_that_outlives_its_parent_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logged_command, "GRACE", 1.0)
    lines: list[str] = []
    # As if DVC were killed and training went on.
    assert run(tmp_path, "sleep 300 & echo $!; kill -9 $$", lines) == -signal.SIGKILL
    end = time.monotonic() + 10
    while is_alive(int(lines[0])) and time.monotonic() < end:
        time.sleep(0.05)
    assert not is_alive(int(lines[0]))


def test_a_child_can_be_interrupted_even_if_this_process_runs_in_the_background(tmp_path: Path) -> None:
    code = (
        "import os, signal\nfrom pathlib import Path\nfrom pipelines.supervision.logged_command import run_logged\n"
        "run_logged(['grep', 'SigIgn', '/proc/self/status'],"
        " log=Path('log'), root=Path(), environment=os.environ, on_line=print)"
    )
    shell = "trap '' INT; exec $PYTHON -c \"$CODE\""
    environment = {**os.environ, "CODE": code, "PYTHON": sys.executable}
    command = ["sh", "-c", shell]
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
    ignored = int(done.stdout.split()[1], 16)
    assert not ignored & 1 << (signal.SIGINT - 1)
