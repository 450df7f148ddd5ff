"""Compares runs on the same test set: scores with their significance, params, and the segments that differ most.

The other runs are compared with the first one. Their translations are read from their artifacts; nothing is translated
again.
"""

import ast
import csv
import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast, get_args

from seqloom.errors import RegistryError
from seqloom.evaluation.segments import Segments
from seqloom.evaluation.settings import METRICS, EvaluateSettings, Task
from seqloom.evaluation.significance import Difference, compare
from seqloom.languages import Direction
from seqloom.tracking.client.run_data import read_artifact
from seqloom.tracking.client.store import Store
from seqloom.tracking.registry.lineage import Lineage, read_lineage

TEXTS = "report/hypotheses.tsv"  # artifact of a run
_BOOTSTRAP, _SEED = 1000, 12345  # if the params of the run do not set them


class UnreadableTextsError(RegistryError):
    """The table of a run's translations cannot be read, or its task is unknown."""


class TestedRun(NamedTuple):
    """A run with its translations of the test set."""

    origin: Lineage
    task: Task
    segments: Segments
    chrf: Sequence[float]  # of each segment

    @property
    def title(self) -> str:
        """The registered version, or the name of the run."""
        if self.origin.model is None:
            return self.origin.run_name
        return f"{self.origin.model}/{self.origin.version}"


class Comparison(NamedTuple):
    """The differences between the first run and the others."""

    runs: Sequence[TestedRun]
    scores: Mapping[str, Sequence[Difference]]  # by metric: each other run minus the first
    params: Mapping[str, Sequence[str | None]]  # params that differ, with each run's value or None
    furthest: Sequence[int]  # indices of the segments whose chrF differs most, largest difference first


def compare_runs(store: Store, names: Sequence[str], *, most: int = 20) -> Comparison:
    """Compare runs or versions by name, with at most `most` segments.

    Raises:
        RegistryError: one does not exist or has no translations, or their test sets or tasks differ.
    """
    first, *others = runs = [read_tested_run(store, name) for name in names]
    for other in others:
        if other.segments[:2] != first.segments[:2] or other.segments.directions != first.segments.directions:
            raise RegistryError(
                f"{other.origin.named} was tested on another test set ({len(other.segments.sources):,} segments) than "
                f"{first.origin.named} ({len(first.segments.sources):,}); scores on different test sets cannot be "
                "compared"
            )
        if other.task != first.task:
            raise RegistryError(
                f"{other.origin.named} is for {other.task}, {first.origin.named} for {first.task}; they cannot be "
                "compared"
            )
    settings = bootstrap_settings(first.origin.params)
    found = [compare(other.segments, first.segments, METRICS[first.task], settings) for other in others]
    return Comparison(
        runs,
        {metric: [each[metric] for each in found] for metric in METRICS[first.task]},
        _differing([run.origin.params for run in runs]),
        _furthest([run.chrf for run in runs], [run.segments.hypotheses for run in runs], most),
    )


def read_tested_run(store: Store, name: str) -> TestedRun:
    """Return a run or version with its translations. Raises `RegistryError` if it has none."""
    origin = read_lineage(store, name)
    found = read_texts(store, origin.run_id, origin.params, name)
    if found is None:
        raise RegistryError(f"{name}: its run has no {TEXTS}; only runs that register_model logged can be compared")
    return TestedRun(origin, *found)


def read_texts(
    store: Store, run_id: str, params: Mapping[str, str], named: str
) -> tuple[Task, Segments, Sequence[float]] | None:
    """Return a run's task, test set with translations, and chrF of each segment; None if it logged no translations.

    Raises:
        UnreadableTextsError: the table cannot be read; the message names the run as `named`.
        RegistryError: the store refuses.
    """
    content = read_artifact(store, run_id, TEXTS)
    if content is None:
        return None
    task = params.get("task", "translation")
    known = _directions(params)
    segments = Segments(sources := [], references := [], hypotheses := [], directions := [])
    chrf: list[float] = []
    try:
        for row in csv.DictReader(io.StringIO(content.decode()), delimiter="\t", quoting=csv.QUOTE_NONE):
            sources.append(row["source"])
            references.append(row["reference"])
            hypotheses.append(row["hypothesis"])
            directions.append(known[row["direction"]] if "direction" in row else next(iter(known.values())))
            chrf.append(float(row["chrf"]))
    except (KeyError, TypeError, ValueError, StopIteration) as error:
        raise UnreadableTextsError(f"{named}: {TEXTS} of its run cannot be read as a table") from error
    if task not in get_args(Task) or not chrf:
        raise UnreadableTextsError(f"{named}: its run has no translations or an unknown task")
    return cast("Task", task), segments, chrf


def _directions(params: Mapping[str, str]) -> dict[str, Direction]:
    """Return the directions of a run by name. A param with several languages is a Python list in text form."""
    sides = []
    for side in ("source", "target"):
        value = params.get(f"languages.{side}", "")
        sides.append(ast.literal_eval(value) if value.startswith("[") else [value])
    every = [Direction(source, target) for source in sides[0] for target in sides[1]]
    return {str(direction): direction for direction in every}


def bootstrap_settings(params: Mapping[str, str]) -> EvaluateSettings:
    """Return the bootstrap settings in a run's params, with the defaults of params.yaml for those it lacks."""

    def number(name: str, otherwise: int) -> int:
        value = params.get(f"evaluate.{name}", "")
        return int(value) if value.isdigit() else otherwise

    return EvaluateSettings(
        bootstrap=number("bootstrap", _BOOTSTRAP), seed=number("seed", _SEED), length_buckets=[], examples=1
    )


def _differing(params: Sequence[Mapping[str, str]]) -> dict[str, list[str | None]]:
    names = sorted({name for each in params for name in each})
    values = {name: [each.get(name) for each in params] for name in names}
    return {name: each for name, each in values.items() if len(set(each)) > 1}


def _furthest(chrf: Sequence[Sequence[float]], texts: Sequence[Sequence[str]], most: int) -> list[int]:
    different = [index for index, each in enumerate(zip(*texts, strict=True)) if len(set(each)) > 1]

    def spread(index: int) -> float:
        scores = [each[index] for each in chrf]
        return max(scores) - min(scores)

    return sorted(different, key=lambda index: (-spread(index), index))[:most]
