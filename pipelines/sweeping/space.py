"""The YAML file of a sweep: which settings vary, how many trials there are, and how they are chosen and pruned.

A point of the space maps settings of params.yaml, by their dotted names, to values.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipelines.errors import CommandError
from seqloom.errors import ParamsError
from seqloom.plain_yaml import read, read_text

Point = Mapping[str, Any]

SECTIONS = ("tokenizer", "model", "train")  # training depends on these sections; the others are fixed
YARDSTICK = ("train.validation_segments", "train.validation_search")  # these change what validation BLEU measures
PRECISION = 6  # significant digits of a number; points that differ in less are the same


class SweepError(CommandError):
    """A sweep cannot be run; the message says where the fault is and what is valid."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Dimension(_Record):
    """The values that one setting may have: numbers from low to high, or a list of choices."""

    float_: Annotated[list[float], Field(min_length=2, max_length=2)] | None = Field(None, alias="float")
    int_: Annotated[list[int], Field(min_length=2, max_length=2)] | None = Field(None, alias="int")
    choice: Annotated[list[Any], Field(min_length=1)] | None = None
    log: bool = False
    step: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _together(self) -> Self:
        if sum(kind is not None for kind in (self.float_, self.int_, self.choice)) != 1:
            raise ValueError("give one of float: [low, high], int: [low, high], choice: [values]")
        if self.choice is not None:
            if self.log or self.step:
                raise ValueError("log and step are valid only with float and int")
            if len({json.dumps(value) for value in self.choice}) < len(self.choice):
                raise ValueError("a choice is listed twice")
            return self
        low, high = self.bounds
        if not low < high:
            raise ValueError(f"the low end ({low:g}) must be below the high end ({high:g})")
        if self.log and (low <= 0 or self.step):
            raise ValueError("log is valid only for numbers above 0, and without step")
        if self.step and (parts := (high - low) / self.step) and not math.isclose(parts, round(parts)):
            raise ValueError(f"the range from {low:g} to {high:g} is not a whole number of steps of {self.step:g}")
        if self.int_ and self.step and self.step != int(self.step):
            raise ValueError(f"step ({self.step:g}) must be a whole number for int")
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """Return the ends of a range of numbers; NaN for choices."""
        low, high = self.float_ or self.int_ or (math.nan, math.nan)
        return low, high

    @property
    def size(self) -> float:
        """Return the number of values; infinite for floats without a step."""
        if self.choice is not None:
            return len(self.choice)
        low, high = self.bounds
        step = self.step or (1 if self.int_ else None)
        return math.inf if step is None else round((high - low) / step) + 1

    def holds(self, value: Any) -> bool:
        """Return whether the value is one of this dimension's."""
        if self.choice is not None:
            return json.dumps(value) in {json.dumps(choice) for choice in self.choice}
        low, high = self.bounds
        whole = isinstance(value, int) and not isinstance(value, bool)
        fits = low <= value <= high if whole or (self.float_ and isinstance(value, float)) else False
        return fits and (
            not self.step or math.isclose((parts := (value - low) / self.step), round(parts), abs_tol=1e-9)
        )


class Pruner(_Record):
    """When a trial is stopped early."""

    # median: below the median of the other trials at that step; halving: not in the better half at a rung; none: never
    name: Literal["median", "halving", "none"] = "median"
    startup_trials: int = Field(default=3, ge=0)  # the first trials, which are never pruned
    warmup_steps: int = Field(default=0, ge=0)  # updates of a trial before it can be pruned


class Sweep(_Record):
    """The whole file."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    trials: int = Field(ge=1)
    seed: int = Field(0, ge=0)
    sampler: Literal["tpe", "random"] = "tpe"
    pruner: Pruner = Field(default_factory=Pruner)
    metric: Literal["valid_bleu", "best_bleu"] = "valid_bleu"
    trial_minutes: float | None = Field(None, gt=0)  # a trial that takes longer fails
    fixed: dict[str, Any] = {}  # settings that replace those of params.yaml in every trial
    space: dict[str, Dimension] = Field(min_length=1)

    def point(self, suggested: Mapping[str, Any]) -> Point:
        """Return the point to train for a sampler's suggestion."""
        return {name: _value(dimension, suggested[name]) for name, dimension in self.space.items()}

    @property
    def size(self) -> float:
        """Return the number of points."""
        return math.prod(dimension.size for dimension in self.space.values())

    def contains(self, point: Point) -> bool:
        """Return whether it is a point of the space."""
        return all(dimension.holds(point.get(name)) for name, dimension in self.space.items())


def _value(dimension: Dimension, suggested: Any) -> Any:
    if dimension.choice is not None:
        return json.loads(suggested)
    if dimension.int_:
        return int(suggested)
    low, high = dimension.bounds
    return min(max(float(f"{suggested:.{PRECISION}g}"), low), high)


def key(point: Point) -> str:
    """Return a short name for a point, the same for equal points."""
    return hashlib.sha256(json.dumps(point, sort_keys=True).encode()).hexdigest()[:12]


def as_preset(point: Point) -> dict[str, Any]:
    """Return a point as a preset: nested like params.yaml."""
    tree: dict[str, Any] = {}
    for name, value in point.items():
        *above, last = name.split(".")
        record = tree
        for part in above:
            record = record.setdefault(part, {})
        record[last] = value
    return tree


def setting(params: Mapping[str, Any], name: str) -> Any:
    """Return the value of a setting in `params`. Raises `KeyError`, whose argument lists the valid names there."""
    record: Any = params
    for part in name.split("."):
        if not isinstance(record, Mapping) or part not in record:
            raise KeyError(", ".join(map(str, record)) if isinstance(record, Mapping) else "no section")
        record = record[part]
    return record


def load_yaml(path: Path) -> Any:
    """Read a file as YAML 1.2, in which 3e-4 is a number. Raises `SweepError`."""
    try:
        text = read_text(path)
        read(text, str(path))  # refuses documents that would take all memory, and dates and tags
        return YAML(typ="safe", pure=True).load(text)
    except OSError as error:
        raise SweepError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ParamsError as error:
        raise SweepError(str(error)) from error
    except (YAMLError, ValueError) as error:
        raise SweepError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error


def read_sweep(path: Path, params: Mapping[str, Any]) -> Sweep:
    """Read and check a sweep over the settings of `params`. Its name defaults to that of the file.

    Raises:
        SweepError: the file is not valid; the message has a line for each fault: field, what is wrong, what is valid.
    """
    content = load_yaml(path)
    if not isinstance(content, Mapping):
        raise SweepError(f"{path}: must hold {', '.join(Sweep.model_fields)}; docs/SWEEPS.md explains each")
    try:
        sweep = Sweep.model_validate({"name": re.sub(r"[^a-z0-9-]+", "-", path.stem.lower()), **content})
    except ValidationError as error:
        raise SweepError("\n".join(f"{path}: {_fault(fault)}" for fault in error.errors())) from error
    if faults := [*_faults(sweep, params)]:
        raise SweepError("\n".join(f"{path}: {fault}" for fault in faults))
    return sweep


def _fault(fault: Any) -> str:
    where = ".".join(str(part) for part in fault["loc"]) or "the file"
    if fault["type"] == "value_error":
        return f"{where}: {fault['ctx']['error']}"
    if fault["type"] == "extra_forbidden":
        owners: dict[str, type[BaseModel]] = {"space": Dimension, "pruner": Pruner}
        owner = owners.get(str(fault["loc"][0]), Sweep)
        valid = [field.alias or name for name, field in owner.model_fields.items()]
        return f"{where}: is not a setting; valid are {', '.join(valid)}"
    message = f"{fault['msg'][0].lower()}{fault['msg'][1:]}"
    return f"{where}: {message}, got {fault['input']!r}" if fault["type"] != "missing" else f"{where}: is missing"


def _faults(sweep: Sweep, params: Mapping[str, Any]) -> Iterator[str]:
    """Yield what contradicts params.yaml, and what `space` and `fixed` have in common."""
    names: Sequence[tuple[str, str]] = [*(("space", n) for n in sweep.space), *(("fixed", n) for n in sweep.fixed)]
    for where, name in names:
        section = name.partition(".")[0]
        if section not in SECTIONS or any(f"{name}.".startswith(f"{each}.") for each in YARDSTICK):
            yield (
                f"{where}.{name}: cannot vary: trials are compared by validation BLEU, which it does not change or "
                f"would make incomparable; valid are settings of {', '.join(SECTIONS)} except {', '.join(YARDSTICK)}"
            )
            continue
        try:
            value = setting(params, name)
        except KeyError as missing:
            yield f"{where}.{name}: is not a setting of params.yaml; valid there: {missing.args[0]}"
            continue
        if isinstance(value, Mapping):
            yield f"{where}.{name}: is a section; give one of its settings: {', '.join(map(str, value))}"
    for name in sweep.space.keys() & sweep.fixed.keys():
        yield f"fixed.{name}: is also in space; give it in one of them"
