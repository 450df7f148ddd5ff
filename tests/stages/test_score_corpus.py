"""score_corpus names rows of training, and train_tokenizer leaves them out."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from seqloom.batching.store import TokenStore
from seqloom.corpus.left_out import read_left_out, read_training
from seqloom.corpus.splits import read_split
from seqloom.errors import ModelError, ShardError
from seqloom.places import CORPUS, SCORES, SCORES_REPORT, TOKENS
from seqloom.progress import ignore
from seqloom.stages import score_corpus, train_tokenizer
from tests.stages.toy_training import change_params

MODEL = "data/local/model"


@pytest.fixture
def project(trained_project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree("models/candidate", MODEL)
    monkeypatch.setenv("SEQLOOM_WORKERS", "1")
    return trained_project


def run(**settings: object) -> None:
    score_corpus.run(change_params(sections={"score_corpus": settings}), ignore)


def test_the_lowest_pairs_are_left_out_of_the_tokens(project: Path) -> None:
    run(forward=MODEL, quality={"drop": 0.25})
    pairs, rows = list(read_split(CORPUS / "train.tsv")), read_left_out(SCORES)
    assert len(rows) == len(pairs) // 4
    lines = [line.split("\t") for line in (SCORES / "scores.tsv").read_text().splitlines()]
    assert lines[0] == ["row", "forward", "quality", "left_out"]
    assert [int(line[0]) for line in lines[1:]] == list(range(len(pairs)))
    assert [number for number, line in enumerate(lines[1:]) if line[3] == "quality"] == rows.tolist()
    scores = np.array([float(line[2]) for line in lines[1:]])
    assert scores[rows].max() <= np.delete(scores, rows).min()
    kept = [pair for number, pair in enumerate(pairs) if number not in set(rows.tolist())]
    assert list(read_training(CORPUS, SCORES)) == kept
    shutil.rmtree("models/tokenizer")
    train_tokenizer.run(change_params(), ignore)
    assert len(TokenStore.open(TOKENS / "train")) == len(kept)
    assert json.loads((TOKENS / "counts.json").read_text())["train"]["left_out"] == len(rows)


def test_the_report_shows_both_ends_and_the_bound(project: Path) -> None:
    run(forward=MODEL, quality={"drop": 0.25})
    page = (SCORES_REPORT / "index.html").read_text()
    assert "20 of 80 training pairs are left out" in page
    for heading in ("The lowest scores", "The highest scores", "Left out, nearest", "Kept, nearest"):
        assert heading in page
    assert "<svg" in page


def test_without_a_bound_nothing_is_left_out(project: Path) -> None:
    run(in_domain=MODEL, general=MODEL)
    assert len(read_left_out(SCORES)) == 0
    summary = json.loads((SCORES / "summary.json").read_text())
    assert summary["left_out"] == 0
    assert summary["scores"]["domain"]["percentiles"]["50"] == 1.0  # a model does not differ from itself
    assert set(summary["models"]) == {"in_domain", "general"}


def test_another_bound_scores_nothing_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(forward=MODEL, quality={"drop": 0.1})
    monkeypatch.setattr("seqloom.filtering.cross_entropy.CrossEntropyShard.start", None)
    run(forward=MODEL, quality={"drop": 0.5})
    assert len(read_left_out(SCORES)) == 40


def test_a_missing_folder_and_a_wrong_direction_are_named(project: Path) -> None:
    with pytest.raises(ModelError, match=r"score_corpus\.forward: there is no folder data/local/gone"):
        run(forward="data/local/gone")
    with pytest.raises(ShardError, match="does not translate de-en; it translates en-de"):
        run(forward=MODEL, backward=MODEL)
