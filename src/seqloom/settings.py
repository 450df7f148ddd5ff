"""The base class of the records that hold the settings of params.yaml.

Each setting is a typed field beside the code that uses it (`corpus/settings.py`, `training/settings.py`, ...);
`params.py` combines the records and reads the file. Settings that most people change are in params.yaml and have no
default. The others have a default in their record, which is part of a result like any code: every stage that reads
them depends on the module of the record. docs/SETTINGS.md is generated from the records and the comments in them.

A rule that involves several fields is a method marked with `@check`. All errors of a record are raised together: those
of single fields, and those of every check whose fields are valid.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails

Faults = Iterator[tuple[str, str]]
"""What a check yields: the dotted name of a field, and what is wrong with its value."""


class _Check:
    def __init__(self, method: Callable[[Any], Faults]) -> None:
        self.faults_of = method


def check(method: Callable[[Any], Faults]) -> _Check:
    """Mark a method of a record as a rule that involves several fields.

    If some fields are invalid, the method gets a record without them; it stops at the first read of a missing field,
    and what it yielded before counts.
    """
    return _Check(method)


def _pinned(model: str) -> str:
    """Reject models whose content may change without a change of params.yaml or data/local."""
    path = PurePosixPath(model)
    inside = not path.is_absolute() and ".." not in path.parts and path.parts[:2] == ("data", "local")
    if not inside and not re.fullmatch(r"models:/[^/@'\"`]+/[1-9][0-9]*", model):
        raise ValueError(
            f"must name a version by number, models:/NAME/NUMBER, or a model folder below data/local; got {model!r}"
        )
    return model


PinnedModel = Annotated[str, AfterValidator(_pinned)]
"""A registered version by its number, or a model folder below data/local; never an alias, which may move."""


class Settings(BaseModel):
    """A frozen, strict record: unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, ignored_types=(_Check,))

    @model_validator(mode="wrap")
    @classmethod
    def _all_faults(cls, data: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        errors: list[InitErrorDetails] = []
        try:
            record = validate(data)
        except ValidationError as error:
            if not isinstance(data, Mapping):
                raise
            errors += map(_repeated, error.errors())
            record = cls._partial(data, [each["loc"] for each in error.errors()])
        errors += record._faults(partial=bool(errors))
        if errors:
            raise ValidationError.from_exception_data(cls.__name__, errors)
        return record

    @classmethod
    def _partial(cls, data: Mapping[str, Any], faults: list[tuple[int | str, ...]]) -> Self:
        """Build a record with only the valid fields; nested records may be partial too."""
        valid: dict[str, Any] = {}
        for name, field in cls.model_fields.items():
            key = field.alias or name
            kind: Any = field.annotation
            within = [fault[1:] for fault in faults if fault[:1] == (key,)]
            if not within and key in data:
                valid[key] = TypeAdapter(kind).validate_python(data[key])
            elif isinstance(kind, type) and issubclass(kind, Settings) and isinstance(data.get(key), Mapping):
                valid[key] = kind._partial(data[key], within)
        partial = cls.model_construct(**valid)
        for name, field in cls.model_fields.items():
            key = field.alias or name
            if key in data and key not in valid:  # invalid, so its default must not stand in for it
                partial.__dict__.pop(name, None)
        return partial

    def _faults(self, *, partial: bool) -> Iterator[InitErrorDetails]:
        """Run the checks."""
        for member in [member for kind in type(self).__mro__ for member in vars(kind).values()]:
            if not isinstance(member, _Check):
                continue
            try:
                for field, message in member.faults_of(self):
                    yield InitErrorDetails(
                        type="value_error", loc=tuple(field.split(".")), input=self, ctx={"error": ValueError(message)}
                    )
            except AttributeError:
                if not partial:
                    raise


def _repeated(error: ErrorDetails) -> InitErrorDetails:
    """Convert an error from pydantic into one that can be raised again."""
    return InitErrorDetails(type=error["type"], loc=error["loc"], input=error["input"], ctx=error.get("ctx", {}))
