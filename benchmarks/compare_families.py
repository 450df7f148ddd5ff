"""Compare the families of networks: the same data, search, training time and machine.

    python -m benchmarks.compare_families --data DIR --minutes 10 --threads 2

DIR contains train, val and test_2016_flickr, `.en.gz` and `.de.gz`, as Multi30k is published (raw). Every family runs
through the stages of the pipeline; its run and its model are in MLflow afterwards, in the experiment `families`. Each
training is limited only by time (`train.max_minutes`, at whose end the learning rate is zero), including validations.

BLEU is printed in two columns: sacreBLEU's default on detokenised text, and the lower-cased and tokenised variant of
the literature (see `benchmarks/literature.py`). `pretrained` starts from random weights and has the size of the
transformer, so that the architectures are compared and not the effect of pretraining.
"""

import argparse
import csv
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.literature import LiteratureBleu, literature_bleu
from benchmarks.workspace import BEFORE_TRAINING, ROOT, Workspace

# Settings that differ between the families; all others are in params.yaml and presets/multi30k.yaml.
RECIPES: dict[str, dict[str, Any]] = {
    "lstm": {"model": {"dropout": 0.2}},
    "attention_lstm": {"model": {"dropout": 0.2}},
    "transformer": {"model": {"dropout": 0.1}},
    "pretrained": {"model": {"dropout": 0.1}, "search": {"normalization": "average"}},
}
VALIDATE_EVERY = 100  # updates


class Result(NamedTuple):
    """The result of a family."""

    family: str
    parameters: int
    updates: int
    bleu: dict[str, Any]
    chrf: dict[str, Any]
    literature: LiteratureBleu


def main() -> None:
    """Train, score and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train, val and test_2016_flickr")
    parser.add_argument("--minutes", type=float, default=10.0, help="minutes of training per family (default: 10)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--families", nargs="+", default=list(RECIPES), choices=list(RECIPES), metavar="FAMILY")
    parser.add_argument("--folder", type=Path, default=ROOT / "scratch" / "benchmarks" / "families")
    options = parser.parse_args()
    results = []
    for family in options.families:
        results.append(measure(family, options))
        print("\n" + table(results) + "\n", flush=True)


def measure(family: str, options: argparse.Namespace) -> Result:
    """Train a family for the given minutes and score it."""
    workspace = Workspace(options.folder / family, options.threads)
    local = workspace.use_local(options.data, "multi30k")
    changes = {**RECIPES[family], "register": {"experiment": "families"}}
    changes["model"] = {"name": family, **RECIPES[family].get("model", {})}
    if family == "pretrained":
        from benchmarks.random_marian import write_random_marian

        write_random_marian(local / "marian", local / "multi30k")
        changes["model"]["pretrained"] = {"source": "data/local/marian"}
    bounds = {
        "lr": 4e-3,
        "max_minutes": options.minutes,
        "max_steps": None,
        "max_epochs": None,
        "validate_every": VALIDATE_EVERY,
    }
    changes["train"] = {**RECIPES[family].get("train", {}), **bounds, "patience": None}
    workspace.configure(["multi30k"], changes)
    workspace.run(*BEFORE_TRAINING)
    workspace.run("train_model")
    workspace.run("evaluate_model", "register_model")
    scores, training = workspace.read("metrics/evaluation.json"), workspace.read("metrics/training.json")
    with (workspace.folder / "reports/evaluation/hypotheses.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    variant = literature_bleu([row["hypothesis"] for row in rows], [row["reference"] for row in rows], "de")
    return Result(family, training["parameters"], training["steps"], scores["bleu"], scores["chrf"], variant)


def table(results: list[Result]) -> str:
    """Return the results as a Markdown table, followed by the signatures."""
    lines = [
        "| family | parameters | updates | BLEU | chrF | BLEU, lower-cased and tokenised |",
        "|---|---|---|---|---|---|",
    ]
    for r in results:
        interval = f"[{r.bleu['low']:.1f}, {r.bleu['high']:.1f}]"
        lines.append(
            f"| {r.family} | {r.parameters:,} | {r.updates:,} | {r.bleu['score']:.2f} {interval} | "
            f"{r.chrf['score']:.1f} | {r.literature.score:.2f} |"
        )
    first = results[0]
    return "\n".join([*lines, "", first.bleu["signature"], first.chrf["signature"], first.literature.signature])


if __name__ == "__main__":
    main()
