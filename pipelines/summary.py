"""The table at the end of a run: scores from the metrics of the stages, the registered version, and minutes."""

import csv
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipelines import committed
from pipelines.dag import StageResult
from seqloom.json_output import VersionRecord
from seqloom.places import CORPUS_METRICS, EVALUATION_METRICS, HYPOTHESES, SCORES, SYNTHETIC
from seqloom.table import table

QUANTILES = (0.75, 0.5, 0.25)  # of quality (chrF), at which test segments are shown
_SAMPLE_WORDS = range(3, 13)
_OPTIONAL = {"translate_corpus": SYNTHETIC, "score_corpus": SCORES}  # they leave their folder empty if they are off
METRICS = {
    "rougeL": "ROUGE-L", "rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "bleu": "BLEU", "chrf": "chrF", "ter": "TER",
}  # fmt: skip


def version_label(version: VersionRecord | None) -> str | None:
    """Return the name, number and aliases of a version; None for None."""
    if version is None:
        return None
    aliases = f" ({', '.join(version['aliases'])})" if version["aliases"] else ""
    return f"{version['name']} version {version['version']}{aliases}"


class Row(NamedTuple):
    """A line of the closing table."""

    what: str
    value: str


def write_artifact(root: Path, results: Sequence[StageResult], registered: str | None) -> None:
    """Store the table as an artifact of the flow run, and `show` it."""
    from prefect.artifacts import create_table_artifact  # not at the head: `show` is used without Prefect

    table = [row._asdict() for row in _rows(root, results, registered)]
    create_table_artifact(key="training-result", table=table, description="Scores, version and time of each stage")
    show(root, results, registered)


def show(root: Path, results: Sequence[StageResult], registered: str | None) -> None:
    """Print the table, sample translations and what to do next."""
    print("\nResult")
    print("\n".join(f"  {line}" for line in table(_rows(root, results, registered))))
    samples = list(_samples(root))
    if samples:
        print("\nThree sentences of the test split: of good, median and poor quality for this model (by chrF)")
        for sample in samples:
            print(f"  {sample.source}\n    -> {sample.hypothesis}")
    print(_next(samples))
    if committed.differ(root):
        print(KEEP)
    if explanation := committed.of_another_machine(root):
        print(f"\n{explanation}")
    sys.stdout.flush()


KEEP = "  git add dvc.lock metrics plots  keep this result: DVC has the data, the model and the report"


def _next(samples: Sequence["Sample"]) -> str:
    """Return suggestions for what to do next, with a source text of the test split as the example."""
    text = shlex.quote(samples[0].source) if samples else "TEXT"
    return f"""
Next
  make ui                         look at the run in MLflow, and compare it with others
  edit params.yaml, make run      only what depends on the change is done again
  .venv/bin/seqloom translate {text}
                                  translate with the champion"""


def _rows(root: Path, results: Sequence[StageResult], registered: str | None) -> list[Row]:
    return [*_results(root), *([Row("registered", registered)] if registered else []), *_minutes(root, results)]


def _results(root: Path) -> Iterator[Row]:
    corpus, scores = _read(root / CORPUS_METRICS), _read(root / EVALUATION_METRICS)
    if corpus:
        splits = ", ".join(f"{name} {count:,}" for name, count in corpus["splits"].items())
        yield Row("pairs kept", f"{corpus['kept']:,} of {sum(corpus['raw'].values()):,} ({splits})")
    for key, name in METRICS.items():
        if score := scores.get(key):
            interval = f"[{score['low']:.1f}, {score['high']:.1f}]"
            yield Row(name, f"{score['score']:.1f}  95% {interval}  {score['signature']}")
    for direction, each in scores.get("by_direction", {}).items():
        yield Row(direction, "  ".join(f"{METRICS[key]} {each[key]['score']:.1f}" for key in METRICS if key in each))
    if cut := scores.get("cut_hypotheses"):
        yield Row("cut", f"{cut:,} of {scores['segments']:,} translations, at the maximum length")
    if (kept := scores.get("placeholder_accuracy")) is not None:
        yield Row("placeholders", f"{kept:.1%} of the test segments with placeholders keep all of them")


def _minutes(root: Path, results: Sequence[StageResult]) -> Iterator[Row]:
    for stage, what, seconds in results:
        if (written := _OPTIONAL.get(stage)) is not None and not any((root / written).glob("*")):
            yield Row(stage, "switched off")
            continue
        took = f"{seconds / 60:.1f} min"
        yield Row(stage, {"run": took, "restored": f"{took} (restored from the cache)"}.get(what, what))


class Sample(NamedTuple):
    """A segment of the test split and its translation."""

    source: str
    hypothesis: str


def _samples(root: Path) -> Iterator[Sample]:
    """Yield segments at three quantiles of quality, of ordinary length if there are enough."""
    path = root / HYPOTHESES
    if not path.exists():
        return
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    ordinary = [row for row in rows if len(row["source"].split()) in _SAMPLE_WORDS]
    rows = ordinary if len(ordinary) >= len(QUANTILES) else rows
    rows.sort(key=lambda row: (float(row.get("chrf") or 0), row["source"]))
    for place in dict.fromkeys(int(quantile * len(rows)) for quantile in QUANTILES if rows):
        yield Sample(rows[place]["source"], rows[place]["hypothesis"])


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
