"""The learning curves of a run, from the table that train_model writes and the journal with the durations of steps.

The table is reproducible byte for byte. The journal is not, and may be missing; then the curves have no times and no
speed.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from seqloom.errors import RegistryError

_OVER_WHAT = ("step", "epoch")


class Point(NamedTuple):
    """One value of a curve; `seconds` is the training time until then, 0 if it is not known."""

    metric: str
    step: int
    value: float
    seconds: float


class Pace(NamedTuple):
    """The progress at a step: seconds of training, without the time between a stop and its resumption, and tokens."""

    seconds: float
    tokens: int  # target tokens since the beginning


def read_curves(table: Path, journal: Path | None) -> list[Point]:
    """Return the curves: `train/tokens_per_s` and a curve for each column, such as `train/loss` and `valid/bleu`.

    Raises:
        RegistryError: the table is missing or cannot be read.
    """
    pace = dict(_pace(journal)) if journal is not None else {}
    points: list[Point] = []
    before = Pace(0.0, 0)
    for step, cells in _rows(table):
        now = pace.get(step, Pace(before.seconds, before.tokens))
        if now.seconds > before.seconds and now.tokens > before.tokens:
            speed = (now.tokens - before.tokens) / (now.seconds - before.seconds)
            points.append(Point("train/tokens_per_s", step, round(speed, 1), now.seconds))
        points.extend(Point(metric, step, value, now.seconds) for metric, value in cells.items())
        before = now
    return points


def _rows(table: Path) -> Iterator[tuple[int, dict[str, float]]]:
    try:
        with table.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                cells = {_metric(name): float(cell) for name, cell in row.items() if name not in _OVER_WHAT and cell}
                yield int(row["step"]), cells
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RegistryError(f"{table}: is not a table with a column step; `dvc repro train_model` makes it") from error


def _metric(column: str) -> str:
    return f"valid/{column.removeprefix('valid_')}" if column.startswith("valid_") else f"train/{column}"


def _pace(journal: Path) -> Iterator[tuple[int, Pace]]:
    """Yield the pace at every step; a step that was repeated after a resumption counts once."""
    done: dict[int, tuple[float, int]] = {}
    for record in _records(journal):
        if record.get("kind") == "step":
            try:
                done[int(record["step"])] = (float(record["seconds"]), int(record["tokens"]))
            except (KeyError, TypeError, ValueError):
                continue
    seconds, tokens = 0.0, 0
    for step in sorted(done):
        seconds, tokens = seconds + done[step][0], tokens + done[step][1]
        yield step, Pace(seconds, tokens)


def _records(journal: Path) -> Iterator[dict[str, Any]]:
    try:
        with journal.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    record = json.loads(line)
                except ValueError:
                    continue  # cut off by a kill
                if isinstance(record, dict):
                    yield record
    except OSError:
        return
