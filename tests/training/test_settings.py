from typing import Any

import pytest
from pydantic import ValidationError

from tests import records


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_steps": None}, "max_steps, max_epochs and max_minutes are all null: give at least one"),
        ({"max_steps": 5, "validate_every": 6}, r"validate_every\s.*is 6, but may be at most max_steps \(5\)"),
        (
            {"max_steps": 300, "warmup_steps": 300},
            r"warmup_steps\s.*is 300, but schedule linear needs it below max_steps \(300\)",
        ),
        ({"sharded": True}, r"sharded\s.*is true, but processes is 1: give two or more, or auto"),
        ({"sharded": True, "processes": 2, "optimizer": "muon"}, "use adamw, adam or sgd"),
        ({"optimizer": "adagrad"}, "'adamw', 'adam', 'sgd' or 'muon'"),
        ({"schedule": "step"}, "'inverse_sqrt', 'linear', 'cosine', 'constant' or 'plateau'"),
        ({"precision": "fp8"}, "'auto', 'fp32', 'bf16' or 'fp16'"),
        ({"processes": 0}, "greater than or equal to 1"),
        ({"processes": "all"}, "'auto'"),
        ({"tokens_per_batch": 0}, "greater than or equal to 1"),
        ({"tokens_per_batch": "largest"}, "'auto'"),
        ({"sgd_momentum": 1.0}, "less than 1"),
        ({"plateau_factor": 1.0}, "less than 1"),
        ({"plateau_patience": 0}, "greater than or equal to 1"),
    ],
)
def test_an_invalid_setting_is_refused_with_the_valid_values(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        records.train_settings(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"max_steps": None, "max_minutes": 10.0},
        {"max_steps": None, "max_epochs": 3, "warmup_steps": 10_000},
        {"max_steps": 300, "warmup_steps": 300, "schedule": "constant"},
        {"max_steps": 300, "warmup_steps": 300, "schedule": "inverse_sqrt"},
        {"sharded": True, "processes": "auto", "optimizer": "adamw"},
        {"tokens_per_batch": "auto", "processes": "auto"},
        {"precision": "fp16", "device": "cuda"},
    ],
)
def test_a_valid_setting_is_accepted(changes: dict[str, Any]) -> None:
    settings = records.train_settings(**changes)
    assert {name: getattr(settings, name) for name in changes} == changes


def test_the_lower_length_limit_cannot_exceed_the_upper_one() -> None:
    search = records.train_settings().validation_search.model_dump()
    with pytest.raises(ValidationError, match=r"is 30, above max_length_extra \(20\)"):
        records.train_settings(validation_search=search | {"min_length_extra": 30})
