"""The graph of dvc.yaml: order, meta and changed stages."""

from collections.abc import Callable
from pathlib import Path

import pytest
from dvc.exceptions import DvcException

from pipelines.dag import changed_stages, read_stages
from tests.commands import dvc

DIAMOND = """
stages:
  last: {cmd: cat left right > last, deps: [left, right], outs: [last]}
  right: {cmd: cp first right, deps: [first], outs: [right], meta: {timeout_minutes: 1.5, retries: 3, gpu: true}}
  left: {cmd: cp first left, deps: [first], outs: [left]}
  first: {cmd: cp given first, deps: [given], outs: [first]}
"""


@pytest.fixture
def diamond(make_repository: Callable[[str], Path]) -> Path:
    folder = make_repository(DIAMOND)
    (folder / "given").write_text("1", encoding="utf-8")
    return folder


def test_the_dag_of_this_repository(root: Path) -> None:
    stages = read_stages(root)
    names = [stage.name for stage in stages]
    assert names == [
        "check_params", "download_corpus", "translate_corpus", "prepare_corpus", "score_corpus", "download_pretrained",
        "train_tokenizer", "train_model", "export_model", "evaluate_model", "register_model",
    ]  # fmt: skip
    assert all(stage.timeout_minutes for stage in stages)
    assert [stage.name for stage in stages if stage.retries] == [
        "download_corpus", "translate_corpus", "score_corpus", "download_pretrained", "register_model"
    ]  # fmt: skip
    assert [stage.name for stage in stages if stage.journal] == ["train_model"]
    assert stages[-1].after == set(names[:-1])


def test_a_stage_comes_after_its_dependencies_and_ties_keep_the_order_of_the_file(diamond: Path) -> None:
    stages = read_stages(diamond)
    assert [stage.name for stage in stages] == ["first", "right", "left", "last"]
    assert [set(stage.after) for stage in stages] == [set(), {"first"}, {"first"}, {"first", "left", "right"}]
    assert (stages[1].timeout_minutes, stages[1].retries, stages[1].gpu) == (1.5, 3, True)
    assert (stages[2].timeout_minutes, stages[2].retries, stages[2].gpu) == (None, 0, False)


def test_changed_stages_are_those_that_dvc_would_run(diamond: Path) -> None:
    assert changed_stages(diamond) == {"first", "left", "right", "last"}
    dvc(diamond, "repro")
    assert changed_stages(diamond) == set()
    (diamond / "given").write_text("2", encoding="utf-8")
    assert changed_stages(diamond) == {"first"}
    (diamond / "given").write_text("1", encoding="utf-8")
    (diamond / "left").unlink()
    assert changed_stages(diamond) == {"left", "last"}


def test_a_wrong_dvc_yaml_raises_an_error_of_dvc(diamond: Path) -> None:
    (diamond / "dvc.yaml").write_text("stages: {a: {cmd: b, outputs: [c]}}", encoding="utf-8")
    with pytest.raises(DvcException, match=r"dvc\.yaml"):
        read_stages(diamond)
