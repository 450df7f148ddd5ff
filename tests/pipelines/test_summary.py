"""The table at the end of a run."""

import json
from pathlib import Path

import pytest

from pipelines import committed, summary
from pipelines.stage import StageResult


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for folder in ("metrics", "reports/evaluation"):
        (tmp_path / folder).mkdir(parents=True)
    corpus = {"raw": {"a": 1000, "b": 500}, "kept": 1200, "splits": {"train": 1100, "valid": 40, "test": 60}}
    interval = {"score": 31.24, "low": 30.0, "high": 32.55, "signature": "nrefs:1|v:2"}
    scores = {"bleu": interval, "chrf": interval, "ter": interval, "placeholder_accuracy": 0.9876}
    (tmp_path / "metrics/corpus.json").write_text(json.dumps(corpus), encoding="utf-8")
    (tmp_path / "metrics/evaluation.json").write_text(json.dumps(scores), encoding="utf-8")
    return tmp_path


def published(root: Path, stages: list[StageResult], registered: str | None, patch: pytest.MonkeyPatch) -> list[dict]:
    tables: list[list[dict]] = []
    patch.setattr("prefect.artifacts.create_table_artifact", lambda key, table, description: tables.append(table))
    summary.write_artifact(root, stages, registered)
    (table,) = tables
    return table


def test_the_artifact_and_the_screen_show_the_same(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = [StageResult("a", "up to date", 0.0), StageResult("b", "run", 90.0), StageResult("c", "restored", 6.0)]
    table = published(results, stages, "seqloom-en-de version 3 (candidate)", monkeypatch)
    assert {row["what"]: row["value"] for row in table} == {
        "pairs kept": "1,200 of 1,500 (train 1,100, valid 40, test 60)",
        "BLEU": "31.2  95% [30.0, 32.5]  nrefs:1|v:2",
        "chrF": "31.2  95% [30.0, 32.5]  nrefs:1|v:2",
        "TER": "31.2  95% [30.0, 32.5]  nrefs:1|v:2",
        "placeholders": "98.8% of the test segments with placeholders keep all of them",
        "registered": "seqloom-en-de version 3 (candidate)",
        "a": "up to date",
        "b": "1.5 min",
        "c": "0.1 min (restored from the cache)",
    }
    shown = capsys.readouterr().out
    assert all(row["what"] in shown and row["value"] in shown for row in table)
    assert "make ui" in shown


def test_directions_and_other_metrics_have_their_rows(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interval = {"score": 20.5, "low": 19.0, "high": 22.0, "signature": "s"}
    each = {"bleu": interval, "chrf": interval | {"score": 40.25}}
    scores = {"rougeL": interval, "bleu": interval, "by_direction": {"en-de": each, "en-fr": each}}
    (results / "metrics/evaluation.json").write_text(
        json.dumps(scores | {"cut_hypotheses": 3, "segments": 1269}), encoding="utf-8"
    )
    table = published(results, [], None, monkeypatch)
    assert [(row["what"], row["value"]) for row in table[1:]] == [
        ("ROUGE-L", "20.5  95% [19.0, 22.0]  s"),
        ("BLEU", "20.5  95% [19.0, 22.0]  s"),
        ("en-de", "BLEU 20.5  chrF 40.2"),
        ("en-fr", "BLEU 20.5  chrF 40.2"),
        ("cut", "3 of 1,269 translations, at the maximum length"),
    ]


def test_a_stage_that_is_switched_off_shows_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("data/synthetic", "data/scores"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "data/scores/scores.tsv").touch()
    stages = [StageResult("translate_corpus", "run", 1.0), StageResult("score_corpus", "up to date", 0.0)]
    assert [row["value"] for row in published(tmp_path, stages, None, monkeypatch)] == ["switched off", "up to date"]


def test_a_dag_without_metrics_has_only_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert published(tmp_path, [StageResult("a", "run", 6.0)], None, monkeypatch) == [{"what": "a", "value": "0.1 min"}]


@pytest.mark.parametrize("explanation", [None, "The machine is another one."])
def test_changed_results_are_offered_to_git_and_explained(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], explanation: str | None
) -> None:
    monkeypatch.setattr(committed, "differ", lambda root: True)
    monkeypatch.setattr(committed, "of_another_machine", lambda root: explanation)
    published(results, [], None, monkeypatch)
    shown = capsys.readouterr().out
    assert "git add dvc.lock metrics plots" in shown
    assert ("The machine is another one." in shown) == (explanation is not None)


def test_unchanged_results_are_not_offered_to_git(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(committed, "differ", lambda root: False)
    published(results, [], None, monkeypatch)
    assert "git add" not in capsys.readouterr().out


def report(root: Path, *rows: tuple[str, str, float]) -> None:
    lines = ["source\treference\thypothesis\tchrf", *(f"{source}\tr\t{text}\t{chrf}" for source, text, chrf in rows)]
    (root / "reports/evaluation/hypotheses.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_samples_have_three_qualities_and_ordinary_lengths(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(f"it's number {chrf}", f"Nummer {chrf}", float(chrf)) for chrf in range(0, 100, 10)]
    extremes = [("Short", "Kurz", 75.0), ("long " * 30, "lang", 50.0), ("Short, too", "Auch kurz", 25.0)]
    report(results, *reversed(rows), *extremes)
    summary.show(results, [], None)
    shown = capsys.readouterr().out
    assert [line.strip() for line in shown.splitlines() if "-> " in line] == [
        "-> Nummer 70",
        "-> Nummer 50",
        "-> Nummer 20",
    ]
    assert "seqloom translate 'it'\"'\"'s number 70'" in shown  # quoted for a shell
    assert "Good morning" not in shown


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_segments_give_few_samples(results: Path, capsys: pytest.CaptureFixture[str], count: int) -> None:
    report(results, *[(f"text {number}", f"Text {number}", 1.0) for number in range(count)])
    summary.show(results, [], None)
    shown = capsys.readouterr().out
    assert shown.count("-> ") == count
    assert ("seqloom translate TEXT" in shown) == (count == 0)
