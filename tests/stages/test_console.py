"""Running a stage: progress, error messages and exit statuses."""

import errno
import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seqloom.errors import CorpusError, OfflineError
from seqloom.params import Params
from seqloom.progress import Listener, Progress
from seqloom.stages.console import Meter, format_progress, run_stage


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lines_of(clock: Clock, reports: list[tuple[float, Progress]], *, live: bool = False) -> str:
    stream = io.StringIO()
    meter = Meter(stream, live=live, clock=clock)
    for seconds, report in reports:
        clock.now += seconds
        meter(report)
    meter.close()
    return stream.getvalue()


def test_a_line_has_task_share_rate_note_and_time_left() -> None:
    line = format_progress(Progress("train_model", 400, 2400, "steps", "loss 3.91"), 400, 50.0)
    assert line == "train_model  400/2,400 steps  8 steps/s  loss 3.91  4 min 10 s left"


def test_bytes_are_shown_in_megabytes() -> None:
    line = format_progress(Progress("fetch", 12_500_000, 50_000_000, "bytes"), 12_500_000, 5.0)
    assert line == "fetch  12.5/50.0 MB  2.5 MB/s  15 s left"


def test_a_task_of_unknown_length_has_no_time_left() -> None:
    assert format_progress(Progress("pairs", 90, None, "pairs"), 90, 3.0) == "pairs  90 pairs  30 pairs/s"


def test_the_rate_of_a_resumed_task_counts_only_new_units(clock: Clock) -> None:
    first, later = Progress("train", 1000, 1100, "steps"), Progress("train", 1010, 1100, "steps")
    assert lines_of(clock, [(0, first), (10, later)]).splitlines()[-1] == (
        "train  1,010/1,100 steps  1 steps/s  1 min 30 s left"
    )


def test_without_a_terminal_lines_are_written_every_five_seconds_and_at_the_end(clock: Clock) -> None:
    reports = [(1.0, Progress("count", done, None, "pairs")) for done in range(13)]
    shown = [int(line.split()[1]) for line in lines_of(clock, reports).splitlines()]
    assert shown == [0, 5, 10, 12]


def test_the_end_of_a_task_is_shown_at_once_and_only_once(clock: Clock) -> None:
    reports = [(0.0, Progress("a", 0, 2, "x")), (1.0, Progress("a", 2, 2, "x")), (0.1, Progress("b", 0, 2, "x"))]
    assert lines_of(clock, reports).splitlines() == ["a  0/2 x", "a  2/2 x  2 x/s  in 1 s", "b  0/2 x"]


def test_on_a_terminal_each_task_redraws_one_line(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    long, short = Progress("a", 0, None, "x", "a long note"), Progress("a", 0, None, "x", "b")
    text = lines_of(clock, [(1.0, long), (1.0, short), (1.0, Progress("b", 0, 9, "x"))], live=True)
    assert text == "\ra  0 x  a long note\ra  0 x  b          \n\rb  0/9 x\n"
    assert max(map(len, text.replace("\n", "\r").split("\r"))) < 20


def stage_that(action: Callable[[], None]) -> Callable[[Params, Listener], None]:
    return lambda params, listen: action()


def raising(error: BaseException) -> Callable[[Params, Listener], None]:
    def action() -> None:
        raise error

    return stage_that(action)


@pytest.fixture
def repository(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(root / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def keep_signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (CorpusError("nothing is left after cleaning"), 1, "error: nothing is left after cleaning\n"),
        (OfflineError("no network"), os.EX_TEMPFAIL, "error: no network\n"),
        (KeyboardInterrupt(), 130, "error: toy was interrupted; run again to continue\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "data/x"),
            1,
            "error: toy: no space is left on the disk of data/x; make room and run again\n",
        ),
        (
            RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
            1,
            "error: toy: no space is left on the disk of this folder; make room and run again\n",
        ),
        (
            OSError(errno.EROFS, "Read-only file system", "data/x"),
            1,
            "error: toy: the disk of data/x is read-only; make it writable and run again\n",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "data/x"),
            1,
            "error: toy: this user may not use data/x (Permission denied); change its owner or mode and run again\n",
        ),
        (
            OSError(errno.EFBIG, "File too large"),
            1,
            "error: toy: a file in this folder has reached the size limit of its disk or of `ulimit -f`; raise the "
            "limit and run again\n",
        ),
        (
            OSError(errno.EIO, "Input/output error", "data/x"),
            1,
            "error: toy: the disk of data/x cannot be read or written (I/O error); check the disk and run again\n",
        ),
        (CorpusError("one \x1b[31m\u202e\r\ntwo"), 1, "error: one \\x1b[31m\\u202e\\r\nerror: two\n"),
    ],
)
@pytest.mark.usefixtures("repository")
def test_an_expected_error_is_one_line_and_a_status(
    error: BaseException, status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        run_stage("toy", raising(error))
    assert left.value.code == status
    assert capsys.readouterr().err == message


@pytest.mark.usefixtures("repository")
def test_an_unexpected_error_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_stage("toy", raising(ZeroDivisionError()))


@pytest.mark.usefixtures("repository")
def test_sigterm_raises_in_the_stage(capsys: pytest.CaptureFixture[str]) -> None:
    closed = []

    def action() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            closed.append(True)

    with pytest.raises(SystemExit) as left:
        run_stage("toy", stage_that(action))
    assert left.value.code == 143
    assert closed
    assert "toy was interrupted" in capsys.readouterr().err


def test_invalid_params_stop_before_any_work(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (repository / "params.yaml").read_text(encoding="utf-8")
    (repository / "params.yaml").write_text(text.replace("patience:", "patients:"), encoding="utf-8")
    started: list[bool] = []
    with pytest.raises(SystemExit) as left:
        run_stage("toy", stage_that(lambda: started.append(True)))
    assert left.value.code == 2
    assert not started
    output = capsys.readouterr().err
    assert "params.yaml: line " in output
    assert "did you mean 'patience'?" in output


@pytest.mark.parametrize("inside", ["", ".dvc/tmp/exps/tmp1"])
def test_invalid_params_of_an_experiment_say_how_to_restore_the_file(
    repository: Path, inside: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / inside).mkdir(parents=True, exist_ok=True)
    (repository / inside / "params.yaml").write_text("task: none\n", encoding="utf-8")
    monkeypatch.chdir(repository / inside)
    monkeypatch.setenv("DVC_EXP_NAME", "odd-name")
    with pytest.raises(SystemExit):
        run_stage("toy", stage_that(lambda: None))
    # A queued experiment runs in a copy and does not change the clone's file.
    assert ("git checkout params.yaml" in capsys.readouterr().err) == (not inside)


def test_the_module_runs_a_stage(repository: Path) -> None:
    command = [sys.executable, "-m", "seqloom.stages", "check_params"]
    assert subprocess.run(command, cwd=repository, check=False).returncode == 0
    unnamed = subprocess.run(command[:-1], cwd=repository, check=False, capture_output=True, text=True)
    assert unnamed.returncode == 1
    assert unnamed.stderr.startswith("error: '' is not a stage; valid are check_params, download_corpus")
    (repository / "params.yaml").unlink()
    refused = subprocess.run(command, cwd=repository, check=False, capture_output=True, text=True)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: params.yaml: cannot be read")


@pytest.mark.usefixtures("repository")
def test_debug_adds_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SEQLOOM_DEBUG", "1")
    with pytest.raises(SystemExit):
        run_stage("toy", raising(CorpusError("empty")))
    output = capsys.readouterr().err
    assert "Traceback" in output
    assert output.endswith("error: empty\n")
