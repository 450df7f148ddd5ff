"""How results that differ from the last commit are explained."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines import committed


def git(root: Path, *words: str) -> None:
    person = ["-c", "user.name=A Person", "-c", "user.email=person@example.org"]
    subprocess.run(["git", *person, *words], cwd=root, check=True, capture_output=True)


def lock(**changed: Any) -> dict[str, Any]:
    code = {"path": "src/train.py", "md5": "c0de"}
    return {
        "stages": {
            "train": {
                "cmd": "train",
                "deps": [code],
                "params": {"params.yaml": {"train": {"seed": 1}}},
                "outs": [{"path": "model", "md5": "1"}],
            }
            | changed,
            "score": {
                "cmd": "score",
                "deps": [{"path": "model", "md5": changed.get("outs", [{"md5": "1"}])[0]["md5"]}],
                "outs": [{"path": "metrics/evaluation.json", "md5": "2"}],
            },
        }
    }


def write(root: Path, content: dict[str, Any], bleu: float) -> None:
    (root / "dvc.lock").write_text(yaml.safe_dump(content), encoding="utf-8")
    scores = {"leading": "bleu", "bleu": {"score": bleu}}
    (root / "metrics/evaluation.json").write_text(json.dumps(scores), encoding="utf-8")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for folder in ("metrics", "plots"):
        (tmp_path / folder).mkdir()
    (tmp_path / "plots/training.csv").write_text("step\n", encoding="utf-8")
    write(tmp_path, lock(), 27.6)
    git(tmp_path, "init")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "-m", "Results")
    return tmp_path


def test_committed_results_are_not_explained(clone: Path) -> None:
    assert not committed.differ(clone)
    assert committed.of_another_machine(clone) is None


def test_other_results_from_equal_inputs_are_explained_by_the_machine(clone: Path) -> None:
    write(clone, lock(outs=[{"path": "model", "md5": "9"}]), 28.1)
    assert committed.differ(clone)
    explanation = committed.of_another_machine(clone)
    assert explanation is not None
    assert "(bleu 27.6, here 28.1)" in explanation
    assert "git checkout dvc.lock metrics plots" in explanation
    assert max(map(len, explanation.splitlines())) <= 80


@pytest.mark.parametrize(
    "changed",
    [
        {"deps": [{"path": "src/train.py", "md5": "other"}]},
        {"params": {"params.yaml": {"train": {"seed": 2}}}},
        {"cmd": "train --fast"},
    ],
)
def test_results_with_another_input_are_not_explained(clone: Path, changed: dict[str, Any]) -> None:
    write(clone, lock(outs=[{"path": "model", "md5": "9"}], **changed), 28.1)
    assert committed.differ(clone)
    assert committed.of_another_machine(clone) is None


def test_without_git_or_a_commit_there_is_no_explanation(tmp_path: Path) -> None:
    (tmp_path / "metrics").mkdir()
    write(tmp_path, lock(), 27.6)
    assert committed.of_another_machine(tmp_path) is None
    git(tmp_path, "init")
    assert committed.differ(tmp_path)
    assert committed.of_another_machine(tmp_path) is None


def test_the_explanation_has_no_numbers_if_the_commit_has_no_scores(clone: Path) -> None:
    git(clone, "rm", "--cached", "metrics/evaluation.json")
    git(clone, "commit", "-m", "Without scores")
    write(clone, lock(outs=[{"path": "model", "md5": "9"}]), 28.1)
    explanation = committed.of_another_machine(clone)
    assert explanation is not None
    assert explanation.startswith("Results differ from the last commit,\n")
