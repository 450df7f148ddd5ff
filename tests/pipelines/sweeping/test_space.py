"""The file of a sweep: what is valid, and the messages about what is not."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.sweeping.space import Sweep, SweepError, as_preset, key, load_yaml, read_sweep

PARAMS = {
    "train": {"lr": 0.004, "seed": 1, "validation_segments": 10, "validation_search": {"beam": 1}},
    "model": {"lstm": {"cell": "lstm"}},
    "search": {"beam": 5},
}
GOOD = {"trials": 3, "space": {"train.lr": {"float": [0.001, 0.1], "log": True}}}


def read(folder: Path, **changes: Any) -> Sweep:
    (folder / "My try.yaml").write_text(yaml.safe_dump(GOOD | changes), encoding="utf-8")
    return read_sweep(folder / "My try.yaml", PARAMS)


def test_the_name_defaults_to_that_of_the_file_and_numbers_may_have_an_exponent(tmp_path: Path) -> None:
    path = tmp_path / "My try.yaml"
    path.write_text("trials: 2\nspace: {train.lr: {float: [1e-4, 3e-2], log: true}}", encoding="utf-8")
    sweep = read_sweep(path, PARAMS)
    assert (sweep.name, sweep.space["train.lr"].bounds) == ("my-try", (1e-4, 3e-2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trials": 0}, "trials: input should be greater than or equal to 1, got 0"),
        ({"trails": 3}, "trails: is not a setting; valid are name, trials, seed"),
        ({"sampler": "grid"}, "sampler: input should be 'tpe' or 'random', got 'grid'"),
        ({"metric": "test_bleu"}, "metric: input should be 'valid_bleu' or 'best_bleu', got 'test_bleu'"),
        ({"pruner": {"name": "median", "steps": 1}}, "pruner.steps: is not a setting; valid are name"),
        ({"space": {}}, "space: dictionary should have at least 1 item"),
        ({"space": {"train.lr": {"float": [2, 1]}}}, "space.train.lr: the low end (2) must be below the high end (1)"),
        (
            {"space": {"train.lr": {"float": [0, 1], "log": True}}},
            "space.train.lr: log is valid only for numbers above 0",
        ),
        (
            {"space": {"train.lr": {"float": [0, 1], "step": 0.3}}},
            "space.train.lr: the range from 0 to 1 is not a whole",
        ),
        ({"space": {"train.lr": {"int": [0, 1.5]}}}, "space.train.lr.int.1: input should be a valid integer"),
        ({"space": {"train.lr": {"choice": [1], "int": [1, 2]}}}, "space.train.lr: give one of float"),
        ({"space": {"train.lr": {"choice": [1, 1]}}}, "space.train.lr: a choice is listed twice"),
        ({"space": {"train.rl": {"choice": [1]}}}, "space.train.rl: is not a setting of params.yaml; valid"),
        ({"space": {"model.lstm": {"choice": [1]}}}, "space.model.lstm: is a section; give one of its settings"),
        ({"space": {"search.beam": {"int": [1, 8]}}}, "space.search.beam: cannot vary: trials"),
        ({"fixed": {"train.validation_segments": 9}}, "fixed.train.validation_segments: cannot vary"),
        ({"fixed": {"train.validation_search.beam": 4}}, "fixed.train.validation_search.beam: cannot vary"),
        ({"fixed": {"train.lr": 9}}, "fixed.train.lr: is also in space"),
    ],
)
def test_a_fault_is_reported_with_its_file_and_field(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SweepError) as raised:
        read(tmp_path, **changes)
    assert f"{tmp_path / 'My try.yaml'}: {message}" in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"), [(None, "cannot be read"), ("a: [", "not valid YAML"), ("- 1", "must hold")]
)
def test_a_file_that_is_missing_or_not_a_yaml_mapping_is_refused(
    tmp_path: Path, text: str | None, message: str
) -> None:
    if text is not None:
        (tmp_path / "x.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(SweepError, match=rf"x\.yaml: {message}"):
        read_sweep(tmp_path / "x.yaml", PARAMS)


def test_a_point_is_rounded_named_and_written_as_a_preset(tmp_path: Path) -> None:
    space = {
        "train.lr": {"float": [0.001, 0.1], "log": True}, "train.seed": {"int": [1, 9], "step": 4},
        "model.lstm.cell": {"choice": ["lstm", None, [1, 2]]},
    }  # fmt: skip
    sweep = read(tmp_path, space=space)
    point = sweep.point({"train.lr": 0.00123456789, "train.seed": 5, "model.lstm.cell": "[1, 2]"})
    assert point == {"train.lr": 0.00123457, "train.seed": 5, "model.lstm.cell": [1, 2]}
    assert as_preset(point) == {"train": {"lr": 0.00123457, "seed": 5}, "model": {"lstm": {"cell": [1, 2]}}}
    assert key(point) == key(dict(reversed(point.items()))) != key({**point, "train.seed": 9})
    assert sweep.contains(point)
    for name, other in [("train.lr", 0.2), ("train.seed", 6), ("train.seed", True), ("model.lstm.cell", "gru")]:
        assert not sweep.contains({**point, name: other})


def test_the_sweeps_of_this_repository_are_valid(root: Path) -> None:
    params = load_yaml(root / "params.yaml")
    found = [read_sweep(path, params) for path in sorted((root / "sweeps").glob("*.yaml"))]
    assert found
    assert len({sweep.name for sweep in found}) == len(found)
