"""One stage as a task run: its result, and the message of a failure."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect import flow

from pipelines import stage as stage_module
from pipelines.dag import read_stages
from pipelines.errors import BusyError, StageError
from pipelines.stage import StageResult, run_stage

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]


@flow(name="toy", persist_result=False)
def toy(root: Path, changed: bool = True) -> StageResult:
    (stage,) = read_stages(root)
    return run_stage(stage, root, changed=changed)


def one_stage(command: str, meta: str = "{}") -> str:
    stage = f"{{cmd: {json.dumps(command)}, deps: [params.yaml], outs: [out], meta: {meta}}}"
    return f"stages:\n  only: {stage}\n"


def test_a_stage_is_run_once_and_then_restored_or_up_to_date(make_repository: Callable[[str], Path]) -> None:
    root = make_repository(one_stage("echo run >> runs; cp params.yaml out"))
    assert toy(root).what == "run"
    assert toy(root).what == "up to date"
    (root / "out").unlink()
    assert toy(root).what == "restored"
    assert toy(root, changed=False) == StageResult("only", "up to date", 0.0)
    assert (root / "runs").read_text(encoding="utf-8") == "run\n"
    assert (root / "scratch" / "logs" / "only.log").exists()


def test_a_failure_has_the_message_of_the_stage_and_is_not_retried(
    make_repository: Callable[[str], Path],
) -> None:
    root = make_repository(
        one_stage("echo run >> runs; echo working; echo 'error: the corpus is empty' >&2; exit 1", "{retries: 2}")
    )
    with pytest.raises(StageError, match=r"^only: the corpus is empty$") as failed:
        toy(root)
    assert failed.value.status == 1
    assert (root / "runs").read_text(encoding="utf-8") == "run\n"


def test_a_defect_has_the_last_line_of_its_traceback(make_repository: Callable[[str], Path]) -> None:
    root = make_repository(one_stage("echo 'Traceback (most recent call last):'; echo 'KeyError: 1'; exit 1"))
    with pytest.raises(StageError, match=r"^only: KeyError: 1$"):
        toy(root)


def test_an_error_of_dvc_is_reported_in_full() -> None:
    lines = ["Running", "ERROR: unable to read: 'params.yaml'", "  line 100, column 9"]
    assert stage_module._reason(lines) == "unable to read: 'params.yaml' line 100, column 9"
    assert stage_module._reason(["just words"]) == "just words"
    assert stage_module._reason([]) == "ended without a message"


def test_a_transient_failure_is_retried(
    make_repository: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_module, "RETRY_DELAY", 0.1)
    command = "echo run >> runs; grep -c run runs > out; exit $(( $(cat out) < 3 ? 75 : 0 ))"
    root = make_repository(one_stage(command))
    with pytest.raises(StageError):
        toy(root)  # a stage without retries
    (root / "runs").unlink()
    (root / "dvc.yaml").write_text(one_stage(command, "{retries: 2}"), encoding="utf-8")
    assert toy(root).what == "run"
    assert (root / "out").read_text(encoding="utf-8") == "3\n"


def test_a_stage_that_takes_too_long_is_stopped(make_repository: Callable[[str], Path]) -> None:
    root = make_repository(one_stage("trap 'touch asked' INT; sleep 300", "{timeout_minutes: 0.1}"))
    began = time.monotonic()
    with pytest.raises(StageError, match=r"^only: took longer than 0\.1 minutes"):
        toy(root)
    assert time.monotonic() - began < 60
    assert (root / "asked").exists()


def block(root: Path) -> Path:
    """Hold DVC's lock on the output of the stage, as another `dvc repro` does while its stage runs."""
    lock = root / ".dvc" / "tmp" / "rwlock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    owner = {"pid": os.getpid(), "cmd": "dvc repro"}
    lock.write_text(json.dumps({"write": {str(root / "out"): owner}}), encoding="utf-8")
    return lock


def test_it_waits_for_another_command_of_dvc(
    make_repository: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stage_module, "LOCK_DELAY", 0.1)
    root = make_repository(one_stage("cp params.yaml out"))
    lock = block(root)
    real, tries = stage_module.run_logged, []

    def ended_before_the_third(*args: Any, **kwargs: Any) -> int:
        tries.append(True)
        if len(tries) == 3:
            lock.unlink()
        return real(*args, **kwargs)

    monkeypatch.setattr(stage_module, "run_logged", ended_before_the_third)
    assert toy(root).what == "run"
    output = capsys.readouterr().out
    assert output.count(f"only: another DVC command (process {os.getpid()}) is running in this folder; waiting") == 1
    assert "rwlock" not in output


def test_a_command_of_dvc_that_does_not_end_makes_it_busy(
    make_repository: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stage_module, "LOCK_DELAY", 0.1)
    monkeypatch.setattr(stage_module, "LOCK_TRIES", 2)
    root = make_repository(one_stage("cp params.yaml out"))
    block(root)
    with pytest.raises(
        BusyError, match=rf"^only: another DVC command \(process {os.getpid()}\) was still running here"
    ):
        toy(root)
    assert "rwlock" not in capsys.readouterr().out
