"""The families of networks side by side: the same data and search, about the same minutes of training, one machine.

    python -m benchmarks.compare_families --data DIR --minutes 10 --threads 2

DIR holds train, val and test_2016_flickr, `.en.gz` and `.de.gz`, as Multi30k is published (raw). Every family runs
through the stages of the pipeline, and its run and its model stand in MLflow afterwards, under the experiment
`families`. How many updates fit into the minutes is measured first, for the learning rate falls to zero at the last
one; validation and everything else that train_model does is part of the minutes.

BLEU is printed twice, in two columns: sacreBLEU's default on detokenised text, and the lower-cased and tokenised
variant of the literature (see `benchmarks/literature.py`). `pretrained` starts from random weights of the size of the
transformer: it compares the families, not what pretraining brings.
"""

import argparse
import csv
import json
import shutil
import statistics
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.literature import LiteratureBleu, literature_bleu
from benchmarks.workspace import ROOT, Workspace

# What differs between the families besides their name; the rest is params.yaml and presets/multi30k.yaml.
RECIPES: dict[str, dict[str, Any]] = {
    "lstm": {"model": {"dropout": 0.2}},
    "attention_lstm": {"model": {"dropout": 0.2}},
    "transformer": {"model": {"dropout": 0.1}},
    "pretrained": {"model": {"dropout": 0.1}, "search": {"normalization": "average"}},
}
BEFORE = ("download_corpus", "download_pretrained", "prepare_corpus", "train_tokenizer")
CALIBRATION = 120  # updates
VALIDATIONS = 6


class Result(NamedTuple):
    """What became of a family."""

    family: str
    parameters: int
    updates: int
    minutes: float  # of train_model, start-up and validation included
    bleu: dict[str, Any]
    chrf: dict[str, Any]
    literature: LiteratureBleu


def main() -> None:
    """Train, score and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train, val and test_2016_flickr")
    parser.add_argument("--minutes", type=float, default=10.0, help="of training, each (default: 10)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--families", nargs="+", default=list(RECIPES), choices=list(RECIPES), metavar="FAMILY")
    parser.add_argument("--folder", type=Path, default=ROOT / "scratch" / "benchmarks" / "families")
    options = parser.parse_args()
    results = []
    for family in options.families:
        results.append(measure(family, options))
        print("\n" + table(results) + "\n", flush=True)


def measure(family: str, options: argparse.Namespace) -> Result:
    """Train one family for the minutes and score it."""
    workspace = Workspace(options.folder / family, options.threads)
    local = workspace.folder / "data" / "local"
    shutil.rmtree(local, ignore_errors=True)
    shutil.copytree(options.data, local / "multi30k", ignore=lambda _, names: {n for n in names if n == "tok"})
    changes = {**RECIPES[family], "register": {"experiment": "families"}}
    changes["model"] = {"name": family, **RECIPES[family].get("model", {})}
    if family == "pretrained":
        from benchmarks.random_marian import write_random_marian

        write_random_marian(local / "marian", local / "multi30k")
        changes["model"]["pretrained"] = {"source": "data/local/marian"}
    workspace.configure(["multi30k"], changes)
    workspace.run(*BEFORE)
    steps = _updates_that_fit(workspace, changes, options.minutes * 60)
    every = max(CALIBRATION // VALIDATIONS, steps // VALIDATIONS)
    steps = every * VALIDATIONS
    changes["train"] = {**RECIPES[family].get("train", {}), "max_steps": steps, "validate_every": every}
    workspace.configure(["multi30k"], changes)
    began = time.monotonic()
    workspace.run("train_model")
    minutes = (time.monotonic() - began) / 60
    workspace.run("evaluate_model", "register_model")
    scores, training = workspace.read("metrics/evaluation.json"), workspace.read("metrics/training.json")
    with (workspace.folder / "reports/evaluation/hypotheses.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    variant = literature_bleu([row["hypothesis"] for row in rows], [row["reference"] for row in rows], "de")
    return Result(family, training["parameters"], steps, minutes, scores["bleu"], scores["chrf"], variant)


def _updates_that_fit(workspace: Workspace, changes: dict[str, Any], seconds: float) -> int:
    """How many updates fit into the time, from a short run of its own, less what else train_model does."""
    short = {"max_steps": CALIBRATION, "warmup_steps": 10, "validate_every": CALIBRATION, "validation_segments": 50}
    workspace.configure(["multi30k"], {**changes, "train": {**changes.get("train", {}), **short}})
    began = time.monotonic()
    workspace.run("train_model")
    whole = time.monotonic() - began
    journal = workspace.folder / "scratch" / workspace.read("metrics/training.json")["fingerprint"] / "journal.jsonl"
    records = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    update = statistics.mean([record["seconds"] for record in records if record["kind"] == "step"][20:])
    validating = sum(record["seconds"] for record in records if record["kind"] == "validation")
    around = whole - validating - update * CALIBRATION
    # A trained model stops at the end of its sentences, and greedy search over all of validation takes some seconds.
    return int((seconds - around - VALIDATIONS * VALIDATION_SECONDS) / update)


# One validation of Multi30k's 1,014 segments, loss and greedy search. On 2 cores it took 3 to 5 s, and 5 to 7 of the
# family pretrained: the estimate leaves room, and the table tells the minutes that were really used.
VALIDATION_SECONDS = 8.0


def table(results: list[Result]) -> str:
    """The results as a Markdown table, the signatures below it."""
    lines = [
        "| family | parameters | updates | minutes | BLEU | chrF | BLEU, lower-cased and tokenised |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in results:
        interval = f"[{r.bleu['low']:.1f}, {r.bleu['high']:.1f}]"
        lines.append(
            f"| {r.family} | {r.parameters:,} | {r.updates:,} | {r.minutes:.1f} | {r.bleu['score']:.2f} {interval} | "
            f"{r.chrf['score']:.1f} | {r.literature.score:.2f} |"
        )
    first = results[0]
    return "\n".join([*lines, "", first.bleu["signature"], first.chrf["signature"], first.literature.signature])


if __name__ == "__main__":
    main()
