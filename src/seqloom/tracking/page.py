"""What a person sees of a run on MLflow's page, and in which order: its groups of charts, and its tables.

MLflow groups charts by what stands before the last slash of a metric's name and sorts the groups by name. So those that
are looked at first are `test/`, with the scores alone, `train/` and `valid/`, the curves; every other number is filed
under `values/`, which comes last.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seqloom.errors import RegistryError
from seqloom.evaluation.settings import TITLES
from seqloom.tracking.store import Store, refusals

TABLE = "samples.json"  # sentences of the test split, from the worst to the best translated
_TABLES = "mlflow.loggedArtifacts"  # the tag by which MLflow's page knows which artifacts are tables
_MOST_CHARACTERS = 1000  # of a text in a table


class Sample(NamedTuple):
    """A segment of the test split and what the model made of it."""

    source: str
    reference: str
    hypothesis: str
    chrf: float


def chart(name: str) -> str:
    """The metric's name on the page: scores of the test stay where they are, other single numbers go behind."""
    group, _, rest = name.partition("/")
    shown = group in ("train", "valid", "system") or (group == "test" and rest.rpartition("/")[2] in TITLES)
    return name if shown else f"values/{name}"


def is_score(name: str) -> bool:
    """Whether a metric is one that the model earned, and not a fact of its data or its training."""
    return name.startswith("test/")


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
