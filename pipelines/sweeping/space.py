"""A sweep as its YAML file describes it: what may vary, how often, and by which rule. It knows no study and no stage.

A point of the space is a plain mapping from settings of params.yaml, by their dotted names, to values.
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

from pipelines.cli_client import RefusedError
from seqloom.errors import ParamsError
from seqloom.plain_yaml import read, read_text

Point = Mapping[str, Any]

SECTIONS = ("tokenizer", "model", "train")  # what training depends on; the rest is how it is measured, or of what
YARDSTICK = ("train.validation_segments", "train.validation_search")  # they change what validation BLEU measures
PRECISION = 6  # digits of a number that is tried; a point that differs in less is the same point


class SweepError(RefusedError):
    """A sweep that cannot be run as it is asked for; the message says where and what is valid."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Dimension(_Record):
    """The values that one setting may have: numbers from low to high, or a list to choose from."""

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
                raise ValueError("log and step are for numbers, and choice has none")
            if len({json.dumps(value) for value in self.choice}) < len(self.choice):
                raise ValueError("a choice stands twice")
            return self
        low, high = self.bounds
        if not low < high:
            raise ValueError(f"the low end ({low:g}) must be below the high end ({high:g})")
        if self.log and (low <= 0 or self.step):
            raise ValueError("log needs numbers above 0, and no step")
        if self.step and (parts := (high - low) / self.step) and not math.isclose(parts, round(parts)):
            raise ValueError(f"from {low:g} to {high:g} is no whole number of steps of {self.step:g}")
        if self.int_ and self.step and self.step != int(self.step):
            raise ValueError(f"step ({self.step:g}) must be whole, as int is")
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """The ends of a range of numbers."""
        low, high = self.float_ or self.int_ or (math.nan, math.nan)
        return low, high

    @property
    def size(self) -> float:
        """How many values there are; infinite where numbers have no steps."""
        if self.choice is not None:
            return len(self.choice)
        low, high = self.bounds
        step = self.step or (1 if self.int_ else None)
        return math.inf if step is None else round((high - low) / step) + 1

    def holds(self, value: Any) -> bool:
        """Whether the value lies in it."""
        if self.choice is not None:
            return json.dumps(value) in {json.dumps(choice) for choice in self.choice}
        low, high = self.bounds
        whole = isinstance(value, int) and not isinstance(value, bool)
        fits = low <= value <= high if whole or (self.float_ and isinstance(value, float)) else False
        return fits and (
            not self.step or math.isclose((parts := (value - low) / self.step), round(parts), abs_tol=1e-9)
        )


class Pruner(_Record):
    """When a trial is given up."""

    # below the middle of what others had at that step; not in the better half at each rung; never
    name: Literal["median", "halving", "none"] = "median"
    startup_trials: int = Field(default=3, ge=0)  # trials that are never given up
    warmup_steps: int = Field(default=0, ge=0)  # updates of each trial before which it is not given up


class Sweep(_Record):
    """The file as a whole."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    trials: int = Field(ge=1)
    seed: int = Field(0, ge=0)
    sampler: Literal["tpe", "random"] = "tpe"
    pruner: Pruner = Field(default_factory=Pruner)
    metric: Literal["valid_bleu", "best_bleu"] = "valid_bleu"
    trial_minutes: float | None = Field(None, gt=0)  # after which a trial counts as failed
    fixed: dict[str, Any] = {}  # settings that differ from params.yaml in every trial
    space: dict[str, Dimension] = Field(min_length=1)

    def point(self, suggested: Mapping[str, Any]) -> Point:
        """The point that is trained for what a sampler suggests."""
        return {name: _value(dimension, suggested[name]) for name, dimension in self.space.items()}

    @property
    def size(self) -> float:
        """How many points there are."""
        return math.prod(dimension.size for dimension in self.space.values())

    def contains(self, point: Point) -> bool:
        """Whether it is a point of the space."""
        return all(dimension.holds(point.get(name)) for name, dimension in self.space.items())


def _value(dimension: Dimension, suggested: Any) -> Any:
    if dimension.choice is not None:
        return json.loads(suggested)
    if dimension.int_:
        return int(suggested)
    low, high = dimension.bounds
    return min(max(float(f"{suggested:.{PRECISION}g}"), low), high)


def key(point: Point) -> str:
    """A short name of a point."""
    return hashlib.sha256(json.dumps(point, sort_keys=True).encode()).hexdigest()[:12]


def as_preset(point: Point) -> dict[str, Any]:
    """A point in the form of a preset: nested, as params.yaml is."""
    tree: dict[str, Any] = {}
    for name, value in point.items():
        *above, last = name.split(".")
        record = tree
        for part in above:
            record = record.setdefault(part, {})
        record[last] = value
    return tree


def setting(params: Mapping[str, Any], name: str) -> Any:
    """The value of a setting in params.yaml as read. Raises `KeyError` with what there is in its place."""
    record: Any = params
    for part in name.split("."):
        if not isinstance(record, Mapping) or part not in record:
            raise KeyError(", ".join(map(str, record)) if isinstance(record, Mapping) else "nothing below it")
        record = record[part]
    return record


def load_yaml(path: Path) -> Any:
    """Read a file as YAML 1.2, in which 3e-4 is a number. Raises `SweepError`."""
    try:
        text = read_text(path)
        read(text, str(path))  # refuses what would take all memory, and dates and tags that ruamel stumbles over
        return YAML(typ="safe", pure=True).load(text)
    except OSError as error:
        raise SweepError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ParamsError as error:
        raise SweepError(str(error)) from error
    except (YAMLError, ValueError) as error:
        raise SweepError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error


def read_sweep(path: Path, params: Mapping[str, Any]) -> Sweep:
    """Read and check a sweep over the settings of `params`; without a name it is called as its file.

    Raises:
        SweepError: naming the file and the field, what is wrong and what is valid, for every fault at once.
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
    where = ".".join(str(part) for part in fault["loc"]) or "the whole"
    if fault["type"] == "value_error":
        return f"{where}: {fault['ctx']['error']}"
    if fault["type"] == "extra_forbidden":
        owners: dict[str, type[BaseModel]] = {"space": Dimension, "pruner": Pruner}
        owner = owners.get(str(fault["loc"][0]), Sweep)
        valid = [field.alias or name for name, field in owner.model_fields.items()]
        return f"{where}: is not known; valid are {', '.join(valid)}"
    message = f"{fault['msg'][0].lower()}{fault['msg'][1:]}"
    return f"{where}: {message}, got {fault['input']!r}" if fault["type"] != "missing" else f"{where}: is missing"


def _faults(sweep: Sweep, params: Mapping[str, Any]) -> Iterator[str]:
    """What is at odds with params.yaml, or between the settings."""
    names: Sequence[tuple[str, str]] = [*(("space", n) for n in sweep.space), *(("fixed", n) for n in sweep.fixed)]
    for where, name in names:
        section = name.partition(".")[0]
        if section not in SECTIONS or any(f"{name}.".startswith(f"{each}.") for each in YARDSTICK):
            yield (
                f"{where}.{name}: trials are compared by validation BLEU, which it does not change or would make "
                f"incomparable; valid are settings of {', '.join(SECTIONS)} other than {', '.join(YARDSTICK)}"
            )
            continue
        try:
            value = setting(params, name)
        except KeyError as missing:
            yield f"{where}.{name}: is not a setting of params.yaml; in its place there is {missing.args[0]}"
            continue
        if isinstance(value, Mapping):
            yield f"{where}.{name}: is a section; name one of its settings: {', '.join(map(str, value))}"
    for name in sweep.space.keys() & sweep.fixed.keys():
        yield f"fixed.{name}: stands in space, too"
