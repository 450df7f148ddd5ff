"""The process beside a stage: it ends with the stage, and its failures are ignored."""

import os
import sys
import time
from pathlib import Path

import pytest

from pipelines.supervision import mlflow_sync
from pipelines.supervision.mlflow_sync import sync_remaining, syncing

WAITS = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(print('the rest', flush=True))); "
WAITS += "print(*sys.argv[1:], flush=True); time.sleep(60)"


def lines(log: Path, count: int) -> list[str]:
    end = time.monotonic() + 30
    while len(found := log.read_text(encoding="utf-8").splitlines()) < count and time.monotonic() < end:
        time.sleep(0.05)
    return found


def test_it_gets_sigterm_when_the_block_ends_and_sends_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow_sync, "COMMAND", [sys.executable, "-c", WAITS])
    log = tmp_path / "scratch" / "logs" / "sync.log"
    with syncing(tmp_path, os.environ):
        assert lines(log, 1) == ["--follow"]
    assert lines(log, 2) == ["--follow", "the rest"]


def test_one_that_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    monkeypatch.setattr(mlflow_sync, "COMMAND", [sys.executable, "-c", deaf])
    monkeypatch.setattr(mlflow_sync, "LAST_ROUND", 0.2)
    with syncing(tmp_path, os.environ):
        lines(tmp_path / "scratch" / "logs" / "sync.log", 1)
        began = time.monotonic()
    assert time.monotonic() - began < 30


def test_a_failure_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_sync, "COMMAND", [sys.executable, "-c", "raise SystemExit(1)"])
    with syncing(tmp_path, os.environ):
        pass
    sync_remaining(tmp_path, os.environ)
