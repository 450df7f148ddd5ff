"""What MLflow's page shows of a run: which numbers are metrics, and the tables among its artifacts.

MLflow groups charts by the part of a metric's name before the last slash and sorts the groups and the columns by name.
A run has few metrics, so that people find them: `test/` the scores, `train/` and `valid/` the curves and the cost.
Every number, these included, is a row of the table numbers.json.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seqloom.errors import RegistryError
from seqloom.evaluation.settings import TITLES
from seqloom.tracking.client.store import Store, refusals

TABLE = "samples.json"  # sentences of the test split, from the worst to the best translated
NUMBERS = "numbers.json"  # every number of the result
_NUMBERS_HEADS = ("group", "name", "value")
_KEPT = "placeholder_accuracy"  # a score of the test that has no interval
_TABLES = "mlflow.loggedArtifacts"  # the tag by which MLflow's page knows which artifacts are tables
_MOST_CHARACTERS = 1000  # of a text in a table


class Sample(NamedTuple):
    """A segment of the test split and what the model made of it."""

    source: str
    reference: str
    hypothesis: str
    chrf: float


def metrics_of(numbers: Mapping[str, float], leading: str) -> dict[str, float]:
    """Return the numbers that are metrics: the scores of the test split, and the leading one of each direction."""
    shown = {f"test/{score}" for score in (*TITLES, _KEPT)}
    return {
        name: value
        for name, value in numbers.items()
        if name in shown or (name.startswith("test/") and name.count("/") == 2 and name.endswith(f"/{leading}"))
    }


def is_score(name: str) -> bool:
    """Return whether a metric is a score of the model, and not a curve or a cost of its training."""
    return name.startswith("test/")


def log_numbers(store: Store, run_id: str, numbers: Mapping[str, float]) -> None:
    """Write the table numbers.json: a row per number, with the part of its name before the last slash as its group."""
    rows = [(*name.rpartition("/")[::2], value) for name, value in numbers.items()]
    log_table(store, run_id, NUMBERS, _NUMBERS_HEADS, rows)


def read_samples(table: Path, most: int = 50) -> list[Sample]:
    """Some segments of reports/evaluation/hypotheses.tsv, spread evenly from the worst chrF to the best.

    Raises:
        RegistryError: the table cannot be read.
    """
    try:
        with table.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            found = [
                Sample(
                    _short(row["source"]),
                    _short(row["reference"]),
                    _short(row["hypothesis"]),
                    float(row.get("chrf") or 0),
                )
                for row in rows
            ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RegistryError(f"{table}: cannot be read as a table; `dvc repro evaluate_model` makes it") from error
    found.sort(key=lambda sample: (sample.chrf, sample.source))
    if len(found) <= most:
        return found
    return [found[round(place * (len(found) - 1) / (most - 1))] for place in range(most)]


def log_table(store: Store, run_id: str, file: str, heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Keep a table among a run's artifacts, in place of the one before, where the page shows it as one.

    MLflow's own call adds to the table that is there, so that logging twice shows every row twice.
    """
    with refusals(store):
        content = {"columns": list(heads), "data": [list(row) for row in rows]}
        store.client.log_text(run_id, json.dumps(content, ensure_ascii=False), file)
        known = json.loads(store.client.get_run(run_id).data.tags.get(_TABLES, "[]"))
        entry: Mapping[str, str] = {"path": file, "type": "table"}
        if entry not in known:
            store.client.set_tag(run_id, _TABLES, json.dumps([*known, entry]))


def _short(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"
