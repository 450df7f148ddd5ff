"""Reads what training writes: validations as they come, and the curves of a trial."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

_EVERY = 50  # updates between two points of the curve of an unfinished trial


class CurvePoint(NamedTuple):
    """A point of a curve."""

    metric: str
    step: int
    value: float


class JournalReader:
    """Reads the journal that training writes from now on, which is the first one that grows."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._before = {path: path.stat().st_size for path in self._journals()}
        self._seen: set[int] = set()
        self.path: Path | None = None

    def validations(self) -> list[tuple[int, float]]:
        """Return new pairs of step and validation BLEU, including those from before training resumed."""
        if self.path is None:
            grown = (path for path in self._journals() if path.stat().st_size != self._before.get(path, 0))
            self.path = next(grown, None)
        if self.path is None:
            return []
        found = {record["step"]: record["bleu"] for record in records(self.path) if record.get("kind") == "validation"}
        new = [(step, found[step]) for step in sorted(found) if step not in self._seen]
        self._seen.update(step for step, _ in new)
        return new

    def _journals(self) -> list[Path]:
        return sorted(self._scratch.glob("*/journal.jsonl"))


def records(journal: Path) -> Iterator[dict[str, Any]]:
    """Yield the complete records; the last may be cut off by a kill, or not be written in full yet."""
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


def journal_curves(journal: Path) -> list[CurvePoint]:
    """Return the curves of an unfinished trial; if a step was repeated, its last values."""
    values: dict[tuple[str, int], float] = {}
    for record in records(journal):
        step = record["step"]
        if record.get("kind") == "validation":
            values["valid/bleu", step], values["valid/loss", step] = record["bleu"], record["loss"]
        elif record.get("kind") == "step" and step % _EVERY == 0:
            values["train/loss", step], values["train/lr", step] = record["loss"], record["lr"]
    return [CurvePoint(metric, step, value) for (metric, step), value in values.items()]


def table_curves(table: Path) -> list[CurvePoint]:
    """Return the curves in the table that train_model writes."""
    if not table.exists():
        return []
    with table.open(encoding="utf-8", newline="") as file:
        return [
            CurvePoint(_metric(name), int(row["step"]), float(cell))
            for row in csv.DictReader(file)
            for name, cell in row.items()
            if name not in ("step", "epoch") and cell
        ]


def _metric(column: str) -> str:
    return f"valid/{column.removeprefix('valid_')}" if column.startswith("valid_") else f"train/{column}"
