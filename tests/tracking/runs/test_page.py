import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from seqloom.errors import RegistryError
from seqloom.tracking.client.store import Store, connect, experiment_id
from seqloom.tracking.runs.page import (
    CHARTS,
    VIEW_TAG,
    Sample,
    find_experiment,
    log_numbers,
    log_table,
    metrics_of,
    read_samples,
    save_view,
    view_columns,
    view_url,
)
from tests.workspaces import give_store


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("test/bleu", True),
        ("test/ter", True),
        ("test/placeholder_accuracy", True),
        ("test/en-de/bleu", True),
        ("test/en-de/chrf", False),
        ("test/bleu.low", False),
        ("test/en-de/bleu.low", False),
        ("test/segments", False),
        ("training/steps", False),
        ("corpus/dropped.copy", False),
    ],
)
def test_test_scores_and_leading_scores_of_directions_are_metrics(name: str, *, metric: bool) -> None:
    assert metrics_of({name: 1.5}, "bleu") == ({name: 1.5} if metric else {})


def test_every_number_is_a_row_of_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    give_store(tmp_path)
    store = connect(tmp_path, create=False)
    run_id = store.client.create_run(experiment_id(store, "x")).info.run_id
    log_numbers(store, run_id, {"test/bleu": 12.5, "test/en-de/bleu.low": 11.5, "corpus/dropped.copy": 3.0})
    (file,) = (tmp_path / "mlartifacts").rglob("numbers.json")
    assert json.loads(file.read_text(encoding="utf-8")) == {
        "columns": ["group", "name", "value"],
        "data": [["test", "bleu", 12.5], ["test/en-de", "bleu.low", 11.5], ["corpus", "dropped.copy", 3.0]],
    }


def test_samples_range_from_the_worst_to_the_best(tmp_path: Path) -> None:
    table = tmp_path / "hypotheses.tsv"
    rows = [f'say "{number}\tR\t{"H" * 2000}\t{number % 10}.5' for number in range(100)]
    table.write_text("source\treference\thypothesis\tchrf\n" + "\n".join(rows) + "\n", encoding="utf-8")
    found = read_samples(table, most=10)
    assert [sample.chrf for sample in found] == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5]
    assert found[0].source == 'say "0'
    assert found[0].hypothesis == "H" * 1000 + "…"
    assert len(read_samples(table, most=200)) == 100


def test_a_table_without_a_column_is_named_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "hypotheses.tsv").write_text("source\treference\nA\tB\n")
    with pytest.raises(RegistryError, match=r"hypotheses\.tsv.*dvc repro evaluate_model"):
        read_samples(tmp_path / "hypotheses.tsv")


def test_a_table_replaces_the_one_logged_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    give_store(tmp_path)
    store = connect(tmp_path, create=False)
    run_id = store.client.create_run(experiment_id(store, "x")).info.run_id
    for hypothesis in ("first", "zweites ß"):
        log_table(store, run_id, "samples.json", Sample._fields, [Sample("a", "b", hypothesis, 1.0)])
    tags = store.client.get_run(run_id).data.tags
    assert json.loads(tags["mlflow.loggedArtifacts"]) == [{"path": "samples.json", "type": "table"}]
    (file,) = (tmp_path / "mlartifacts").rglob("samples.json")
    assert json.loads(file.read_text(encoding="utf-8")) == {
        "columns": ["source", "reference", "hypothesis", "chrf"], "data": [["a", "b", "zweites ß", 1.0]]
    }  # fmt: skip


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    give_store(tmp_path)
    return connect(tmp_path, create=False)


def saved(store: Store, experiment: str) -> dict[str, Any]:
    """The view as MLflow's page reads it: an envelope with the state as JSON inside."""
    envelope: dict[str, Any] = json.loads(store.client.get_experiment(experiment).tags[VIEW_TAG])
    assert isinstance(envelope["name"], str)
    assert isinstance(envelope["createdAt"], int)
    state: dict[str, Any] = json.loads(envelope["state"])
    return state


def test_the_view_shows_the_scores_of_the_task_sorted_by_the_leading_one(store: Store) -> None:
    home = experiment_id(store, "x")
    save_view(store, home, "translation")
    state = saved(store, home)
    assert state["selectedColumns"][:4] == [
        "metrics.`test/bleu`", "metrics.`test/chrf`", "metrics.`test/ter`", "metrics.`valid/bleu`"
    ]  # fmt: skip
    assert {"metrics.`train/tokens_per_s`", "metrics.`train/seconds`", "params.`train.lr`"} <= {
        *state["selectedColumns"]
    }
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`test/bleu`", False)
    save_view(store, home, "summarization")
    assert saved(store, home)["orderByKey"] == "metrics.`test/rougeL`"
    assert view_columns("summarization") == saved(store, home)["selectedColumns"]


def test_without_a_task_an_existing_view_is_kept(store: Store) -> None:
    home = experiment_id(store, "x")
    save_view(store, home)
    assert saved(store, home)["orderByKey"] == "metrics.`valid/bleu`"
    save_view(store, home, "generation")
    save_view(store, home)
    assert saved(store, home)["orderByKey"] == "metrics.`test/rougeL`"


def test_the_view_is_written_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    home = experiment_id(store, "x")
    save_view(store, home, "translation")
    monkeypatch.setattr(store.client, "set_experiment_tag", lambda *_: pytest.fail("it was there"))
    save_view(store, home, "translation")


def test_a_found_experiment_has_its_view(store: Store) -> None:
    assert find_experiment(store, None) is None
    assert find_experiment(store, "x") is None
    home = experiment_id(store, "x")
    assert find_experiment(store, "x") == home
    assert saved(store, home)
    store.client.delete_experiment(home)
    assert find_experiment(store, "x") is None


def test_the_link_opens_the_view_in_training_mode() -> None:
    link = view_url("http://host:5000", "7", CHARTS)
    assert link.startswith("http://host:5000/#/experiments/7/runs?")
    assert parse_qs(link.partition("?")[2]) == {
        "workflowType": ["machine_learning"], "viewStateShareKey": ["scores"], "compareRunsMode": ["CHART"]
    }  # fmt: skip
    assert view_url("http://host:5000") == "http://host:5000/#/experiments?workflowType=machine_learning"


def test_an_error_of_the_store_is_a_registry_error(store: Store) -> None:
    with pytest.raises(RegistryError, match="999"):
        save_view(store, "999")
