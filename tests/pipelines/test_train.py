"""The flow `train` on a DAG of shell commands: first run, second run, failure and interrupt."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client

from pipelines import train as train_module
from pipelines.errors import StageError
from pipelines.supervision.processes import process_marks
from pipelines.train import train

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]

LINE = """
stages:
  first:
    cmd: |
      echo first >> runs; cp given first
    deps: [given]
    outs: [first]
  second:
    cmd: |
      echo second >> runs; wc -c < first > second
    deps: [first]
    outs: [second]
  third:
    cmd: |
      echo third >> runs; cp second third
    deps: [second]
    outs: [third]
"""


@pytest.fixture
def line(make_repository: Callable[[str], Path]) -> Path:
    folder = make_repository(LINE)
    (folder / "given").write_text("1", encoding="utf-8")
    return folder


def runs(root: Path) -> list[str]:
    path = root / "runs"
    names = path.read_text(encoding="utf-8").split() if path.exists() else []
    path.unlink(missing_ok=True)
    return names


def test_only_changed_stages_run(line: Path) -> None:
    assert [result.what for result in train(line)] == ["run", "run", "run"]
    assert runs(line) == ["first", "second", "third"]
    assert [result.what for result in train(line)] == ["up to date"] * 3
    assert runs(line) == []
    (line / "given").write_text("2", encoding="utf-8")  # of the same length, so the output of `second` does not change
    assert [result.what for result in train(line)] == ["run", "run", "up to date"]
    assert runs(line) == ["first", "second"]


def test_the_environment_of_a_stage_names_the_flow_run(line: Path) -> None:
    (line / "dvc.yaml").write_text(LINE.replace("cp given", "echo $SEQLOOM_FLOW_RUN > of; cp given"), encoding="utf-8")
    state = train(line, return_state=True)
    assert (line / "of").read_text(encoding="utf-8") == f"{state.state_details.flow_run_id}\n"


def test_a_run_is_named_after_its_flow_and_time(line: Path, prefect_server: str) -> None:
    state = train(line, return_state=True)
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(state.state_details.flow_run_id)
    assert run.name == f"train {run.expected_start_time.astimezone():%Y-%m-%d %H:%M}"


def test_after_a_failure_the_next_run_continues_at_that_stage(line: Path) -> None:
    broken = LINE.replace("wc -c", "echo 'error: no scales' >&2; exit 1; wc -c")
    (line / "dvc.yaml").write_text(broken, encoding="utf-8")
    with pytest.raises(StageError, match=r"^second: no scales$"):
        train(line)
    assert runs(line) == ["first", "second"]
    (line / "dvc.yaml").write_text(LINE, encoding="utf-8")
    train(line)
    assert runs(line) == ["second", "third"]


@pytest.fixture
def command(line: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], tuple[object, str]]]:
    """Run `python -m pipelines train` in the process of the test; return its exit status and its output."""

    def run() -> tuple[object, str]:
        with StringIO() as output:
            with redirect_stdout(output), redirect_stderr(output), pytest.raises(SystemExit) as left:
                train_module.main([])
            return left.value.code, output.getvalue()

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(train_module, "ROOT", line)
    for name in process_marks(line):  # which the command sets
        monkeypatch.setenv(name, "")
    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_the_last_line_is_the_error_of_the_stage(line: Path, command: Callable[[], tuple[object, str]]) -> None:
    (line / "dvc.yaml").write_text(LINE.replace("cp given", "echo 'error: cut' >&2; exit 1; cp"), encoding="utf-8")
    status, output = command()
    assert status == 1
    assert output.splitlines()[-1] == "error: first: cut"
    assert "Traceback" not in output


def test_wrong_params_stop_the_flow_before_any_other_stage(
    line: Path, command: Callable[[], tuple[object, str]]
) -> None:
    (line / "params.yaml").write_text("train: 1\n", encoding="utf-8")
    checked = f"  check_params:\n    cmd: {sys.executable} -m seqloom.stages check_params\n    outs: [data/checked]\n"
    dag = LINE.replace("deps: [given]", "deps: [given, data/checked]") + checked + "    deps: [params.yaml]\n"
    (line / "dvc.yaml").write_text(dag, encoding="utf-8")
    status, output = command()
    assert status == 1
    assert "error: params.yaml: line 1: train: " in output
    assert "Traceback" not in output
    assert runs(line) == []


MAIN = """
import pipelines, sys; from pathlib import Path; pipelines.ROOT = Path.cwd()
import pipelines.train; pipelines.train.main(sys.argv[1:])
"""


def start(root: Path, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", MAIN]
    return subprocess.Popen(
        command, cwd=root, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_stops_the_stage_and_leaves_no_process(
    line: Path, prefect_server: str, number: signal.Signals, status: int
) -> None:
    patient = "echo $$; trap 'echo asked > asked; exit 1' INT; while true; do sleep 0.1; done"
    (line / "dvc.yaml").write_text(LINE.replace("cp given", f"{patient}; cp"), encoding="utf-8")
    process = start(line, PREFECT_API_URL=prefect_server)
    assert process.stdout is not None
    pid = next(int(text) for text in process.stdout if text.strip().isdigit())
    process.send_signal(number)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == status
    assert "Traceback" not in output
    assert (line / "asked").exists()
    assert not Path(f"/proc/{pid}").exists()
