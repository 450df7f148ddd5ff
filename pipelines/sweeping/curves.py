"""What training has written down so far: validations as they come, and the curves of a trial. It judges nothing."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

_EVERY = 50  # updates per point of the curve of a trial that was given up


class Value(NamedTuple):
    """A point of a curve."""

    metric: str
    step: int
    value: float


class Watch:
    """The journal to which training adds from now on; which one that is shows as it grows."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._before = {path: path.stat().st_size for path in self._journals()}
        self._told: set[int] = set()
        self.path: Path | None = None

    def validations(self) -> list[tuple[int, float]]:
        """Steps with their validation BLEU that were not returned before, those before a resumption included."""
        if self.path is None:
            grown = (path for path in self._journals() if path.stat().st_size != self._before.get(path, 0))
            self.path = next(grown, None)
        if self.path is None:
            return []
        found = {record["step"]: record["bleu"] for record in records(self.path) if record.get("kind") == "validation"}
        new = [(step, found[step]) for step in sorted(found) if step not in self._told]
        self._told.update(step for step, _ in new)
        return new

    def _journals(self) -> list[Path]:
        return sorted(self._scratch.glob("*/journal.jsonl"))


def records(journal: Path) -> Iterator[dict[str, Any]]:
    """The records that are whole: a kill, or a look in between, may cut the last one off."""
    try:
        lines = journal.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and isinstance(record.get("step"), int):
            yield record


def journal_curves(journal: Path) -> list[Value]:
    """The curves of a trial that did not come to its end; a step that was done twice counts once."""
    values: dict[tuple[str, int], float] = {}
    for record in records(journal):
        step = record["step"]
        if record.get("kind") == "validation":
            values["valid/bleu", step], values["valid/loss", step] = record["bleu"], record["loss"]
        elif record.get("kind") == "step" and step % _EVERY == 0:
            values["train/loss", step], values["train/lr", step] = record["loss"], record["lr"]
    return [Value(metric, step, value) for (metric, step), value in values.items()]


def table_curves(table: Path) -> list[Value]:
    """The curves that train_model left."""
    if not table.exists():
        return []
    with table.open(encoding="utf-8", newline="") as file:
        return [
            Value(_metric(name), int(row["step"]), float(cell))
            for row in csv.DictReader(file)
            for name, cell in row.items()
            if name not in ("step", "epoch") and cell
        ]


def _metric(column: str) -> str:
    return f"valid/{column.removeprefix('valid_')}" if column.startswith("valid_") else f"train/{column}"
