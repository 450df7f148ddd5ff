"""Sweeps and trials as MLflow runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from seqloom.cli import main as cli
from seqloom.errors import RegistryError
from seqloom.tracking.client.store import Store, connect
from seqloom.tracking.runs.trials import TrialRecord, log_trial, read_record
from tests.workspaces import give_store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    give_store(tmp_path)
    return connect(tmp_path, create=False)


def record(**changes: Any) -> TrialRecord:
    content = {
        "sweep": "5eed", "experiment": "toys", "point": "abc", "name": "toy 1", "state": "RUNNING", "time": 1000.0,
        "params": {"train.lr": "0.004"}, "metrics": {}, "curves": [], "tags": {"seqloom.trial": "1"},
    }  # fmt: skip
    return TrialRecord.model_validate_json(json.dumps(content | changes))


def test_a_trial_is_a_child_run_of_its_sweep_and_is_logged_once(store: Store) -> None:
    sweep_id = log_trial(store, record(point=None, name="toy", params={"trials": "2"}))
    run_id = log_trial(store, record())
    curves = [["valid/bleu", 300, 20.5], ["valid/bleu", 600, 21.5]]
    done = record(state="FINISHED", time=1060.0, metrics={"valid_bleu": 21.5}, curves=curves)
    assert log_trial(store, done) == log_trial(store, done) == run_id  # the second changes nothing
    run = store.client.get_run(run_id)
    assert (run.info.run_name, run.info.status, run.info.start_time, run.info.end_time) == (
        "toy 1", "FINISHED", 1_000_000, 1_060_000
    )  # fmt: skip
    assert run.data.tags["mlflow.parentRunId"] == sweep_id
    assert run.data.params == {"train.lr": "0.004"}
    assert run.data.metrics["valid_bleu"] == 21.5
    history = store.client.get_metric_history(run_id, "valid/bleu")
    assert [(point.step, point.value) for point in history] == [(300, 20.5), (600, 21.5)]
    assert store.client.get_run(sweep_id).info.status == "RUNNING"


def test_a_repeated_trial_stays_the_same_run(store: Store) -> None:
    run_id = log_trial(store, record(state="KILLED", curves=[["valid/bleu", 300, 20.5]]))
    assert store.client.get_run(run_id).info.status == "KILLED"
    assert log_trial(store, record()) == run_id
    assert store.client.get_run(run_id).info.status == "RUNNING"
    log_trial(store, record(state="FINISHED", curves=[["valid/bleu", 300, 20.5], ["valid/bleu", 600, 21.0]]))
    assert [point.step for point in store.client.get_metric_history(run_id, "valid/bleu")] == [300, 600]


def test_a_trial_that_is_logged_before_its_sweep_creates_the_sweep_s_run(store: Store) -> None:
    run = store.client.get_run(log_trial(store, record()))
    parent = log_trial(store, record(point=None, name="toy"))
    assert run.data.tags["mlflow.parentRunId"] == parent
    assert store.client.get_run(parent).info.run_name == "toy"


def test_the_command_logs_records_from_files(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "1.json").write_text(record().model_dump_json(), encoding="utf-8")
    cli.main(["trial", "1.json"])
    assert capsys.readouterr().out.startswith("toy 1: running, run ")
    assert len(store.client.search_runs([store.client.get_experiment_by_name("toys").experiment_id])) == 2


@pytest.mark.parametrize("text", ["{", json.dumps({"sweep": "x"})])
def test_an_invalid_record_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text, encoding="utf-8")
    with pytest.raises(RegistryError, match=r"x\.json: is not a record of a trial"):
        read_record(tmp_path / "x.json")
