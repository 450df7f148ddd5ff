import json
from pathlib import Path

import pytest

from seqloom.cli import main as cli
from seqloom.tracking.store import connect


def test_sync_sends_the_records_of_training(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = workspace / "scratch" / "cafe"
    folder.mkdir(exist_ok=True)
    begin = {"kind": "begin", "at": 1.0, "pid": 1, "host": "elsewhere", "device": "cpu", "processes": 1}
    step = {"kind": "step", "at": 2.0, "step": 1, "loss": 2.5, "tokens": 9, "grad_norm": 1, "seconds": 1, "lr": 0.1}
    (folder / "journal.jsonl").write_text(json.dumps(begin) + "\n" + json.dumps(step) + "\n")
    cli.main(["sync"])
    assert capsys.readouterr().out == "scratch/cafe: sent\n"
    store = connect(workspace, create=False)
    experiment = store.client.get_experiment_by_name("seqloom")
    (run,) = store.client.search_runs([experiment.experiment_id], "tags.`seqloom.training` = 'cafe'")
    assert run.data.metrics["train/loss"] == 2.5
