"""Train variants of a recipe with an equal budget of time, and compare their scores on the validation split.

    python -m benchmarks.ablation benchmarks/variants/default.yaml --corpus data/corpus --updates 2400 --jobs 2

CORPUS contains the three splits, as prepare_corpus writes them. The YAML file maps the name of each variant to what it
changes in params.yaml. The first variant is the one that the others are compared with; it makes as many updates as
told. Each of the others makes as many as take the same processor time. The time of an update is measured beforehand, as
the difference between two short trainings, so start on a quiet machine: under load it was off by a quarter. Once the
numbers of updates are known, other work on the machine changes no score, and each learning rate falls to zero within
its budget. A stage's own messages are in stages.log, in the variant's folder below `--folder`.

The scores are those of the weights that are kept: BLEU by greedy search, as in every validation. The test split is not
read. `--plot FILE` draws validation BLEU against the processor time of the updates, as a PNG.
"""

import argparse
import csv
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.workspace import ROOT, Workspace, update

SHORT = 60  # updates
VALIDATIONS = 8  # in each training


class Score(NamedTuple):
    """What a variant reached on the validation split."""

    variant: str
    cost: float  # processor seconds of an update
    updates: int
    bleu: float
    loss: float  # the lowest
    curve: list[tuple[int, float]]  # updates and BLEU at each validation


def main() -> None:
    """Measure the costs, train the variants, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", type=Path)
    parser.add_argument("--corpus", type=Path, required=True, help="the folder with the three splits")
    parser.add_argument("--presets", nargs="*", default=[], help="merged into params.yaml before the variants")
    parser.add_argument("--updates", type=int, default=2400, help="of the first variant")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at the same time, of one thread each")
    parser.add_argument("--folder", type=Path, default=ROOT / "scratch" / "benchmarks" / "ablation")
    parser.add_argument("--plot", type=Path, help="a PNG file for the BLEU over time")
    options = parser.parse_args()
    variants = yaml.safe_load(options.variants.read_text(encoding="utf-8"))
    with ThreadPoolExecutor(options.jobs) as pool:
        measured = [pool.submit(cost, name, variants[name] or {}, options) for name in variants]
        costs = [each.result() for each in measured]
        trainings = [
            pool.submit(score, name, variants[name] or {}, each, round(options.updates * costs[0] / each), options)
            for name, each in zip(variants, costs, strict=True)
        ]
        for training in trainings:
            print(training.result(), flush=True)
    scores = [training.result() for training in trainings]
    print("\n" + table(scores))
    if options.plot is not None:
        draw(scores, options.plot)


def cost(name: str, changes: Mapping[str, Any], options: argparse.Namespace) -> float:
    """Return the processor seconds of an update."""
    seconds = []
    for updates in (SHORT, 3 * SHORT):
        bounds = {"max_steps": updates, "warmup_steps": 1, "validation_segments": 1}
        seconds.append(train(f"{name}, {updates} updates", changes, bounds, updates, options)[1])
    return (seconds[1] - seconds[0]) / (2 * SHORT)


def score(name: str, changes: Mapping[str, Any], cost: float, updates: int, options: argparse.Namespace) -> Score:
    """Train a variant, and return its scores."""
    workspace, _ = train(name, changes, {"max_steps": updates}, max(1, updates // VALIDATIONS), options)
    with (workspace.folder / "plots/training.csv").open(encoding="utf-8", newline="") as file:
        validations = [row for row in csv.DictReader(file) if row["valid_loss"]]
    bleu = float(workspace.read("metrics/training.json")["valid_bleu"])
    curve = [(int(row["step"]), float(row["valid_bleu"])) for row in validations]
    return Score(name, cost, updates, bleu, min(float(row["valid_loss"]) for row in validations), curve)


def train(
    name: str,
    changes: Mapping[str, Any],
    bounds: Mapping[str, Any],
    every: int,
    options: argparse.Namespace,
) -> tuple[Workspace, float]:
    """Train a tokenizer and a model; return their workspace, and the processor seconds of train_model."""
    workspace = Workspace(options.folder / name.replace("/", "_"), threads=1)
    corpus = workspace.folder / "data" / "corpus"
    corpus.parent.mkdir(parents=True, exist_ok=True)
    corpus.unlink(missing_ok=True)
    corpus.symlink_to(options.corpus.absolute())
    tree: dict[str, Any] = {"train": {"max_minutes": None, "max_epochs": None, "patience": None}}
    update(tree, changes)
    update(tree, {"train": {**bounds, "validate_every": every, "checkpoint_every": every}})
    workspace.configure(options.presets, tree)
    workspace.run("train_tokenizer", show=False)
    return workspace, workspace.run("train_model", show=False)


def table(scores: list[Score]) -> str:
    """Return the scores as a Markdown table."""
    lines = [
        "| variant | time of an update | updates | validation BLEU, greedy | validation loss |",
        "|---|---|---|---|---|",
    ]
    for each in scores:
        relative = each.cost / scores[0].cost
        lines.append(f"| {each.variant} | {relative:.2f} | {each.updates:,} | {each.bleu:.2f} | {each.loss:.3f} |")
    return "\n".join(lines)


def draw(scores: list[Score], path: Path) -> None:
    """Write the picture of BLEU over time."""
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    for each in scores:
        minutes = [updates * each.cost / 60 for updates, _ in each.curve]
        axes.plot(minutes, [bleu for _, bleu in each.curve], "-o", label=each.variant, markersize=4)
    axes.set_xlabel("updates, minutes of one processor core")
    axes.set_ylabel("validation BLEU, greedy search")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    canvas.print_figure(path, format="png", dpi=150, metadata={"Software": None})


if __name__ == "__main__":
    main()
