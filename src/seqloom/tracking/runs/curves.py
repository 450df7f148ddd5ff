"""The learning curves of a run, out of what train_model leaves: a table over steps, and a journal with durations.

The table is a result and repeats to the byte; the journal is of one machine on one day and may be missing. Without it
the curves have no times and no speed.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from seqloom.errors import RegistryError

_OVER_WHAT = ("step", "epoch")


class Point(NamedTuple):
    """One value of a curve. `seconds` since training began; 0 where that is not known."""

    metric: str
    step: int
    value: float
    seconds: float


class Pace(NamedTuple):
    """How far training was after so many seconds of work; time between a stop and its resumption does not count."""

    seconds: float
    tokens: int  # of the target, since the beginning


def read_curves(table: Path, journal: Path | None) -> list[Point]:
    """The curves: `train/loss`, `train/lr`, `train/tokens_per_s`, `valid/bleu` and whatever else the table holds.

    Raises:
        RegistryError: the table is missing or not one.
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
    """The pace at every step. A step that was done twice, for a run was cut off behind a checkpoint, counts once."""
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
                    continue  # the line at which a process was killed
                if isinstance(record, dict):
                    yield record
    except OSError:
        return
