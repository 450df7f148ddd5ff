import json
from pathlib import Path

from seqloom.progress import Progress
from seqloom.training.journal import Journal
from seqloom.training.reports import CheckpointReport, SkippedReport, StepReport, ValidationReport


def test_every_report_is_a_line_and_most_are_shown(tmp_path: Path) -> None:
    heard: list[Progress] = []
    with Journal(tmp_path / "journal.jsonl", 100, heard.append) as journal:
        journal(CheckpointReport(2, resumed=True))
        journal(StepReport(3, 0, 4.5, 0.1, 1.0, 500, 0.5))
        journal(ValidationReport(3, 4.25, 12.34, True, 2.0))
        journal(StepReport(4, 0, 4.0, 0.1, 1.0, 500, 0.5))
        journal(SkippedReport(5, 1))
        journal(CheckpointReport(5, resumed=False))
    lines = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["checkpoint", "step", "validation", "step", "skipped", "checkpoint"]
    assert lines[1]["loss"] == 4.5
    assert [(progress.done, progress.note) for progress in heard] == [
        (2, "going on from a checkpoint"),
        (3, "loss 4.500  1,000 tokens/s"),
        (3, "validation loss 4.250  validation BLEU 12.3 (best)"),
        (4, "loss 4.000  1,000 tokens/s  validation BLEU 12.3 (best)"),
        (5, "gradient not finite, update left out (1 in a row)"),
    ]


def test_a_second_run_adds_to_the_file(tmp_path: Path) -> None:
    for step in (1, 2):
        with Journal(tmp_path / "journal.jsonl", 100, lambda progress: None) as journal:
            journal(CheckpointReport(step, resumed=False))
    assert len((tmp_path / "journal.jsonl").read_text().splitlines()) == 2
