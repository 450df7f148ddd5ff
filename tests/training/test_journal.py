import json
import os
import time
from pathlib import Path

import pytest

from seqloom.progress import Progress
from seqloom.training.journal import Journal
from seqloom.training.reports import (
    CheckpointReport,
    SkippedReport,
    SplitReport,
    StepReport,
    ValidationReport,
    WarningReport,
)


def test_every_report_is_written_and_most_are_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Progress] = []
    began = time.time()
    used = iter([{"gpu": float(joules)} for joules in range(10)])
    with Journal(tmp_path / "journal.jsonl", heard.append, device="cuda", used=used.__next__) as journal:
        journal(CheckpointReport(2, resumed=True))
        journal(StepReport(3, 0, 4.5, 0.1, 1.0, 500, 0.5, 0.03))
        journal(ValidationReport(3, 4.25, 12.34, True, 2.0))
        journal(StepReport(4, 0, 4.0, 0.1, 1.0, 500, 0.5, 0.05))
        journal(SkippedReport(5, 1, "some file"))
        journal(SplitReport(6, 4))
        journal(WarningReport(7, "look here"))
        journal(CheckpointReport(7, resumed=False))
    lines = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == [
        "begin",
        "checkpoint",
        "step",
        "validation",
        "step",
        "skipped",
        "split",
        "warning",
        "checkpoint",
        "end",
    ]
    assert lines[2]["loss"] == 4.5
    assert (lines[0]["pid"], lines[0]["device"]) == (os.getpid(), "cuda")
    assert [line["joules"]["gpu"] for line in lines if "joules" in line] == list(range(7))
    assert all(began - 1 <= line["at"] <= time.time() + 1 for line in lines)
    assert [(progress.done, progress.total, progress.note) for progress in heard] == [
        (2, None, "going on from a checkpoint"),
        (3, 100, "loss 4.500  1,000 tokens/s"),
        (3, 100, "validation loss 4.250  validation BLEU 12.3 (best)"),
        (4, 80, "loss 4.000  1,000 tokens/s  validation BLEU 12.3 (best)"),
    ]
    assert [record.message.partition(";")[0] for record in caplog.records] == [
        "step 5: the gradient is not finite",
        "step 6: out of memory",
        "step 7: look here",
    ]


def test_a_second_run_appends_to_the_file(tmp_path: Path) -> None:
    for step in (1, 2):
        with Journal(tmp_path / "journal.jsonl", lambda progress: None) as journal:
            journal(CheckpointReport(step, resumed=False))
    lines = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["begin", "checkpoint", "end"] * 2


def test_the_last_line_names_the_exception(tmp_path: Path) -> None:
    with pytest.raises(KeyError), Journal(tmp_path / "journal.jsonl", lambda progress: None):
        raise KeyError
    assert json.loads((tmp_path / "journal.jsonl").read_text().splitlines()[-1])["because"] == "KeyError"


def test_a_truncated_line_does_not_damage_the_next(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    file.write_text('{"kind": "step", "st')
    with Journal(file, lambda progress: None) as journal:
        journal(CheckpointReport(7, resumed=True))
    assert json.loads(file.read_text().splitlines()[2])["step"] == 7
