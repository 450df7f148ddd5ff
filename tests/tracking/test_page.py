import json
from pathlib import Path

import pytest

from seqloom.errors import RegistryError
from seqloom.tracking.page import Sample, chart, log_table, read_samples
from seqloom.tracking.store import connect, experiment_id
from tests.finished import give_store


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("test/bleu", "test/bleu"),
        ("test/en-de/rougeL", "test/en-de/rougeL"),
        ("test/bleu.low", "values/test/bleu.low"),
        ("test/segments", "values/test/segments"),
        ("train/loss", "train/loss"),
        ("training/steps", "values/training/steps"),
        ("corpus/dropped.copy", "values/corpus/dropped.copy"),
    ],
)
def test_scores_and_curves_stand_before_every_other_number(name: str, shown: str) -> None:
    assert chart(name) == shown
    assert sorted(["valid", shown.partition("/")[0]])[0] != "values"


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
