"""Whether a training on another machine counts as running, by the modification time of its journal."""

import json
import os
import time
from pathlib import Path

import pytest

from seqloom.tracking.sync.journal_reader import JournalReader


@pytest.mark.parametrize(("ahead", "alive"), [(0.0, True), (-7200.0, False), (7200.0, False)])
def test_a_journal_from_the_future_does_not_count_as_running(tmp_path: Path, ahead: float, alive: bool) -> None:
    file = tmp_path / "journal.jsonl"
    begin = {"kind": "begin", "at": time.time(), "pid": 1, "host": "another machine", "device": "cpu"}
    file.write_text(json.dumps(begin) + "\n", encoding="utf-8")
    os.utime(file, (time.time() + ahead,) * 2)
    journal = JournalReader(file, 1)
    journal.read()
    assert journal.process is not None
    assert journal.alive() is alive
