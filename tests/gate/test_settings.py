"""The bounds of the gate's settings."""

from typing import Any

import pytest
from pydantic import ValidationError

from seqloom.gate.settings import GateSettings

SHARES = ("max_placeholder_drop", "max_empty", "max_shared")
POINTS = ("max_chrf_drop", "max_direction_drop", "max_export_drop", "max_bucket_drop")
TIMES = ("max_slowdown", "max_growth")
ALLOWED: list[tuple[str, Any]] = [
    ("p", 1e-9), ("p", 0.999), ("min_bucket_segments", 1), ("min_bucket_segments", 10**9),
    *[(name, value) for name in SHARES for value in (0, 1)], *[(name, value) for name in POINTS for value in (0, 100)],
    *[(name, value) for name in TIMES for value in (1, 50)],
]  # fmt: skip
REFUSED: list[tuple[str, Any]] = [
    ("p", 0), ("p", 1), ("min_bucket_segments", 0), ("min_bucket_segments", 10**9 + 1), ("min_bucket_segments", 1.5),
    *[(name, value) for name in SHARES for value in (-0.01, 1.01)], *[(name, -0.01) for name in (*POINTS, *TIMES)],
    *[(name, 0.99) for name in TIMES], ("max_empty", None), ("max_shared", None), ("p", None), ("max_drop", 1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), ALLOWED)
def test_the_bounds_themselves_are_allowed(name: str, value: float) -> None:
    assert getattr(GateSettings.model_validate({"p": 0.05, name: value}), name) == value


@pytest.mark.parametrize("name", [*POINTS, *TIMES, "max_placeholder_drop"])
def test_null_switches_a_rule_off(name: str) -> None:
    assert getattr(GateSettings.model_validate({"p": 0.05, name: None}), name) is None


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_values_beyond_the_bounds_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=name):
        GateSettings.model_validate({"p": 0.05, name: value})


def test_only_the_significance_level_has_no_default() -> None:
    assert GateSettings.model_validate({"p": 0.05}).model_dump().items() >= {
        "p": 0.05, "max_chrf_drop": 0.0, "max_placeholder_drop": 0.0, "max_direction_drop": 1.0,
        "max_export_drop": 1.0, "max_bucket_drop": 3.0, "min_bucket_segments": 100, "max_empty": 0.02,
        "max_slowdown": 1.5, "max_growth": 2.0, "max_shared": 0.05,
    }.items()  # fmt: skip
    with pytest.raises(ValidationError, match="p"):
        GateSettings.model_validate({})
