from typing import Annotated

import pytest
from pydantic import Field, ValidationError

from seqloom.settings import Faults, Settings, check


class Inner(Settings):
    low: int
    high: int
    name: str

    @check
    def _ordered(self) -> Faults:
        if self.low > self.high:
            yield "low", f"is {self.low}, above high ({self.high})"


class Outer(Settings):
    inner: Inner
    several: dict[str, Inner]
    most: Annotated[int, Field(le=100)]
    name_: str = Field(alias="name")

    @check
    def _bounded(self) -> Faults:
        if self.inner.high > self.most:
            yield "inner.high", f"is {self.inner.high}, above most ({self.most})"

    @check
    def _named(self) -> Faults:
        for key, each in self.several.items():
            if each.name != self.name_:
                yield f"several.{key}.name", f"is {each.name}, not {self.name_}"


def inner(low: object = 1, high: object = 2, name: object = "x") -> dict[str, object]:
    return {"low": low, "high": high, "name": name}


def faults(**changes: object) -> dict[str, str]:
    given: dict[str, object] = {"inner": inner(), "several": {"a": inner()}, "most": 10, "name": "x"}
    with pytest.raises(ValidationError) as raised:
        Outer.model_validate(given | changes)
    return {
        ".".join(map(str, each["loc"])): each["msg"].removeprefix("Value error, ") for each in raised.value.errors()
    }


def test_an_error_of_a_check_names_its_field() -> None:
    assert faults(inner=inner(high=20)) == {"inner.high": "is 20, above most (10)"}
    assert faults(inner=inner(low=3)) == {"inner.low": "is 3, above high (2)"}


def test_errors_of_fields_and_of_checks_are_raised_together() -> None:
    found = faults(inner=inner(low=30, high=20, name=5), several={"a": inner(name="y")}, typo=1)
    assert found.keys() == {"inner.name", "inner.low", "inner.high", "several.a.name", "typo"}
    assert found["inner.low"] == "is 30, above high (20)"
    assert found["inner.high"] == "is 20, above most (10)"


def test_a_check_is_skipped_if_its_field_is_invalid() -> None:
    assert faults(most="many", inner=inner(high=20)).keys() == {"most"}
    assert faults(inner=inner(high="far", low=30)).keys() == {"inner.high"}
    assert faults(inner=5, several={"a": inner(name="y")}).keys() == {"inner", "several.a.name"}


def test_a_bug_in_a_check_is_raised() -> None:
    class Defective(Settings):
        name: str

        @check
        def _typo(self) -> Faults:
            if self.name:
                raise AttributeError("nmae")
            yield "name", "is empty"

    with pytest.raises(AttributeError, match="nmae"):
        Defective(name="x")


def test_validating_a_record_returns_the_record() -> None:
    record = Outer(inner=Inner(low=1, high=2, name="x"), several={}, most=5, name="y")
    assert record.model_dump(by_alias=True) == {"inner": inner(), "several": {}, "most": 5, "name": "y"}
    assert Outer.model_validate(record) == record
