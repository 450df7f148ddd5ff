import json
from pathlib import Path
from typing import Any

import pytest

from seqloom.tracking.runs.costs import current_flow_run, read_costs

BEGIN = {"kind": "begin", "pid": 1, "host": "h", "device": "cuda (X), bf16", "processes": 2}


def journal(folder: Path, *records: dict[str, Any]) -> Path:
    file = folder / "journal.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records) + '{"kind": "st')
    return file


def test_every_process_counts_up_to_its_last_line(tmp_path: Path) -> None:
    spent = read_costs(
        journal(
            tmp_path,
            {**BEGIN, "at": 100.0},
            {"kind": "validation", "at": 105.0, "joules": {"gpu": 50.0}},
            {"kind": "step", "at": 110.0},  # killed
            {**BEGIN, "at": 1000.0},
            {"kind": "checkpoint", "at": 1001.0, "joules": {"gpu": 1.0}},
            {"kind": "end", "at": 1020.0, "joules": {"gpu": 70.0, "cpu": 3.0}},
        )
    )
    assert spent == (30.0, 60.0, 2, {"cpu": 3.0, "gpu": 120.0})
    assert spent.tags() == {
        "cost.seconds": "30.0", "cost.gpu_seconds": "60.0", "cost.processes": "2", "cost.joules.cpu": "3",
        "cost.joules.gpu": "120",
    }  # fmt: skip
    assert spent.metrics() == {"train/seconds": 30.0, "train/gpu_seconds": 60.0, "train/joules": 123.0}


def test_training_on_a_cpu_costs_no_gpu_time(tmp_path: Path) -> None:
    spent = read_costs(journal(tmp_path, {**BEGIN, "device": "cpu", "at": 1.0}, {"kind": "step", "at": 3.0}))
    assert spent == (2.0, 0.0, 1, {})
    assert spent.metrics() == {"train/seconds": 2.0}


def test_without_a_journal_there_are_no_costs(tmp_path: Path) -> None:
    assert read_costs(tmp_path / "none.jsonl") is None
    assert read_costs(journal(tmp_path, {"kind": "step", "step": 1, "seconds": 1.0})) is None


def test_the_flow_run_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SEQLOOM_FLOW_RUN", "PREFECT__FLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    assert current_flow_run() is None
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "of Prefect")
    assert current_flow_run() == "of Prefect"
    monkeypatch.setenv("SEQLOOM_FLOW_RUN", "given")
    assert current_flow_run() == "given"
