"""Notices sent to a webhook: their content, no secrets in logs, and no failure of the flow if sending fails."""

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from prefect.states import Completed

from pipelines import notify as notify_module
from pipelines.data_guard import refusal
from pipelines.errors import BusyError, CommandError, PublishError, StageError
from pipelines.notify import LOG, URLS, Notice, notify, notify_once
from pipelines.supervision import final_states
from pipelines.supervision.final_states import conclude, exit_status
from seqloom.json_output import FindingRecord

NOTICE = Notice("seqloom retrain: Failed", "train_model: no scales", "scratch/logs/train_model.log", "buy scales")


class Hook(HTTPServer):
    """A webhook on this machine that stores what it receives."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.received: list[dict[str, Any]] = []
        self.status = 200

    @property
    def url(self) -> str:
        return f"json://someone:secret@127.0.0.1:{self.server_port}/hidden"


class _Answer(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        self.server.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    server = Hook()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv(URLS, server.url)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path


def test_a_notice_says_what_happened_where_to_look_and_what_to_do(hook: Hook, clone: Path) -> None:
    assert notify(clone, NOTICE)
    (received,) = hook.received
    assert received["title"] == "seqloom retrain: Failed"
    assert received["type"] == "failure"
    assert received["message"].splitlines()[::2] == [
        "train_model: no scales", "Look at: scratch/logs/train_model.log", "What to do: buy scales"
    ]  # fmt: skip
    assert "train_model: no scales" in (clone / LOG).read_text(encoding="utf-8")


def test_a_failed_notice_raises_nothing_and_logs_no_secret(
    hook: Hook, clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    hook.status = 500
    monkeypatch.setenv(URLS, f"{hook.url} secret nonsense://secret json://127.0.0.1:1/secret")
    with caplog.at_level(0):
        assert not notify(clone, NOTICE)
    output = capsys.readouterr()
    assert output.out.count("could not be sent") == 4
    assert "secret" not in output.out + output.err + caplog.text + (clone / LOG).read_text(encoding="utf-8")


def test_a_repeated_notice_is_sent_once(hook: Hook, clone: Path) -> None:
    for key in ("a", "a", "b", "a"):
        notify_once(clone, key, NOTICE)
    assert len(hook.received) == 3
    hook.status = 500
    notify_once(clone, "c", NOTICE)
    hook.status = 200
    notify_once(clone, "c", NOTICE)  # the first attempt failed
    assert len(hook.received) == 5


def test_a_notice_is_sent_even_if_the_disk_is_full(hook: Hook, clone: Path) -> None:
    (clone / LOG).symlink_to("/dev/full")
    (clone / "scratch" / "sent").symlink_to("/dev/full")
    assert notify(clone, NOTICE)
    assert len(hook.received) == 1


FINDING: FindingRecord = {"what": "pairs", "now": 1, "before": 9, "low": 5, "high": 9, "ok": False}
REFUSED = refusal({"ok": False, "baseline": "7", "findings": [FINDING]})


@pytest.mark.parametrize(
    ("error", "kind", "name", "status", "sent"),
    [
        (StageError("train_model", "no scales", 1), "FAILED", "Failed", 1, 1),
        (StageError("train_model", "took longer than 5 minutes", 124), "FAILED", "TimedOut", 1, 1),
        (StageError("train_model", "no space is left on the disk of x", 1), "FAILED", "DiskFull", 1, 1),
        (StageError("register_model", "x", os.EX_TEMPFAIL), "FAILED", "Unreachable", 1, 1),
        (CommandError("the registry does not answer", os.EX_TEMPFAIL), "FAILED", "Unreachable", 1, 1),
        (CommandError("params.yaml: line 1"), "FAILED", "Failed", 1, 1),
        (PublishError("dvc push to x: gone"), "FAILED", "NotPublished", 1, 1),
        (REFUSED, "FAILED", "Refused", 3, 1),
        (BusyError("another run"), "CANCELLED", "Busy", os.EX_TEMPFAIL, 0),
    ],
)
def test_every_failure_has_one_state_one_notice_and_an_exit_status(
    clone: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: str, name: str, status: int, sent: int
) -> None:
    notices: list[Notice] = []
    for module in (final_states, notify_module):
        monkeypatch.setattr(module, "notify", lambda root, notice: notices.append(notice) or True)

    def work() -> Any:
        raise error

    state = conclude("retrain", clone, work)
    assert (state.type.value, state.name, state.message) == (kind, name, str(error))
    assert exit_status(state) == status
    assert len(notices) == sent
    assert all(notice.title == f"seqloom retrain: {name}" and notice.do for notice in notices)


def test_a_defect_is_reported_and_raised_again(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notices: list[Notice] = []
    monkeypatch.setattr(final_states, "notify", lambda root, notice: notices.append(notice))
    with pytest.raises(ZeroDivisionError):
        conclude("train", clone, lambda: Completed(data=1 / 0))
    assert [notice.happened for notice in notices] == ["ZeroDivisionError: division by zero"]


def test_a_refusal_says_what_is_out_of_bounds() -> None:
    findings: list[Any] = [
        FINDING,
        FINDING | {"high": None},
        FINDING | {"now": 10, "low": None},
        FINDING | {"ok": True},
    ]
    assert str(refusal({"ok": False, "baseline": "7", "findings": findings})).splitlines() == [
        "the new data is refused, compared with that of version 7:",
        "pairs is 1, was 9; it may be 5 to 9",
        "pairs is 1, was 9; it may be 5 or more",
        "pairs is 10, was 9; it may be 9 at most",
    ]
