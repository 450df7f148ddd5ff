"""Plot BLEU against the length of the source, one line per model, as in figure 2 of Bahdanau et al. 2015.

    python -m benchmarks.bleu_by_length --out docs/bleu_by_length.png lstm=FILE attention_lstm=FILE ...

Each FILE is a hypotheses.tsv that evaluate_model wrote (reports/evaluation); all must have the same test set. BLEU
(sacreBLEU's default, detokenised) is computed over windows of neighbouring lengths. All windows have the same number of
segments, so all points are equally reliable.
"""

import argparse
import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from seqloom.evaluation.metrics import CountedMetric, bleu


class Curve(NamedTuple):
    """A model's BLEU around each length, in source words; `share` is the window's share of all segments."""

    name: str
    words: list[float]
    bleu: list[float]


def main() -> None:
    """Read, count, draw and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="NAME=FILE")
    parser.add_argument("--language", default="de", help="target language, for the tokenizer of BLEU (default: de)")
    parser.add_argument("--windows", type=int, default=10, help="points per line (default: 10)")
    parser.add_argument("--out", type=Path, required=True, help="the PNG file to write")
    options = parser.parse_args()
    named = [model.partition("=") for model in options.models]
    curves = [read_curve(name, Path(file), options.language, options.windows) for name, _, file in named]
    draw(curves, options.out)
    for curve in curves:
        points = "  ".join(f"{words:.0f}: {score:.1f}" for words, score in zip(curve.words, curve.bleu, strict=True))
        print(f"{curve.name:16} {points}")


def read_curve(name: str, file: Path, language: str, windows: int) -> Curve:
    """Return the BLEU of each window of a test set sorted by length; each window overlaps the next one by half."""
    with file.open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE))
    lengths = np.array([len(row["source"].split()) for row in rows])
    order = np.argsort(lengths, kind="stable")
    counted = CountedMetric(bleu(language), [row["hypothesis"] for row in rows], [row["reference"] for row in rows])
    size = 2 * len(rows) // (windows + 1)
    starts = np.linspace(0, len(rows) - size, windows).astype(int)
    parts = [order[start : start + size] for start in starts]
    return Curve(name, [float(lengths[part].mean()) for part in parts], [counted.score(part) for part in parts])


def draw(curves: list[Curve], path: Path) -> None:
    """Write the picture."""
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    for curve, style in zip(curves, ("-o", "--s", "-.^", ":D"), strict=False):
        axes.plot(curve.words, curve.bleu, style, label=curve.name, markersize=4)
    axes.set_xlabel("source words, mean of the window")
    axes.set_ylabel("BLEU (sacreBLEU, detokenised)")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    canvas.print_figure(path, format="png", dpi=150, metadata={"Software": None})


if __name__ == "__main__":
    main()
