import json
from pathlib import Path

import pytest

from seqloom.errors import RegistryError
from seqloom.tracking.client.store import connect, experiment_id
from seqloom.tracking.runs.page import Sample, log_numbers, log_table, metrics_of, read_samples
from tests.finished import give_store


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
def test_scores_are_metrics_and_of_a_direction_the_leading_one(name: str, *, metric: bool) -> None:
    assert metrics_of({name: 1.5}, "bleu") == ({name: 1.5} if metric else {})


def test_every_number_is_a_row_of_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_samples_go_from_the_worst_to_the_best(tmp_path: Path) -> None:
    table = tmp_path / "hypotheses.tsv"
    rows = [f'say "{number}\tR\t{"H" * 2000}\t{number % 10}.5' for number in range(100)]
    table.write_text("source\treference\thypothesis\tchrf\n" + "\n".join(rows) + "\n", encoding="utf-8")
    found = read_samples(table, most=10)
    assert [sample.chrf for sample in found] == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5]
    assert found[0].source == 'say "0'
    assert found[0].hypothesis == "H" * 1000 + "…"
    assert len(read_samples(table, most=200)) == 100


def test_a_table_without_a_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "hypotheses.tsv").write_text("source\treference\nA\tB\n")
    with pytest.raises(RegistryError, match=r"hypotheses\.tsv.*dvc repro evaluate_model"):
        read_samples(tmp_path / "hypotheses.tsv")


def test_a_table_takes_the_place_of_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
