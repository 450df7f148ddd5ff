"""The audit of score_corpus as an HTML page: a histogram of each score, and examples at its ends and at its bound."""

from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape

import numpy as np
from numpy.typing import NDArray

from seqloom.corpus.splits import Pair
from seqloom.evaluation.charts import histogram
from seqloom.filtering.scores import Cut, Numbers
from seqloom.pages.frame import document, row, table

_EXAMPLES = 12  # of each kind
_BINS = 40
_LONGEST = 300  # characters shown of each text


def chosen_rows(values: Numbers, cut: Cut) -> dict[str, list[int]]:
    """Return the rows that are shown, by the heading of their table."""
    order = np.argsort(values, kind="stable")
    left_out = order[cut.below[order]]
    kept = order[~cut.below[order]]
    shown = {"The lowest scores": order[:_EXAMPLES], "The highest scores": order[::-1][:_EXAMPLES]}
    if len(left_out):
        shown |= {"Left out, nearest to the bound": left_out[::-1][:_EXAMPLES]}
        shown |= {"Kept, nearest to the bound": kept[:_EXAMPLES]}
    return {heading: rows.tolist() for heading, rows in shown.items()}


def page(
    pairs: Iterable[Pair], values: Mapping[str, Numbers], cuts: Mapping[str, Cut], left_out: NDArray[np.bool_]
) -> str:
    """Return the page. The pairs are read once; only those that are shown are kept."""
    wanted = {name: chosen_rows(values[name], cuts[name]) for name in values}
    rows = {number for each in wanted.values() for numbers in each.values() for number in numbers}
    shown: dict[int, Pair] = {}
    totals, lost = Counter[str](), Counter[str]()
    for number, pair in enumerate(pairs):
        totals[pair.corpus] += 1
        lost[pair.corpus] += bool(left_out[number])
        if number in rows:
            shown[number] = pair
    parts = [f"<p>{left_out.sum():,} of {len(left_out):,} training pairs are left out of training.</p>"]
    by_corpus = (
        row([name, f"{totals[name]:,}", f"{lost[name]:,}", _percent(lost[name], totals[name])]) for name in totals
    )
    parts.append(table(("corpus", "pairs", "left out", "share"), by_corpus))
    for name, each in wanted.items():
        parts.append(f"<h2>{escape(name)}</h2>")
        parts.append(_bounds(cuts[name]))
        low, high = 0.0, max(float(values[name].max()), 1e-6)
        title = f"Pairs by {name}"
        parts.append(histogram(title, values[name].tolist(), low=low, high=high, bins=_BINS, x_label=name))
        for heading, numbers in each.items():
            parts.append(f"<h3>{heading}</h3>")
            lines = (_line(number, float(values[name][number]), shown[number]) for number in numbers)
            parts.append(table(("score", "source", "target", "corpus", "row"), lines))
    return document("Scores of the training pairs", "\n".join(parts))


def _bounds(cut: Cut) -> str:
    listed = ", ".join(f"{least:.4g} ({direction})" for direction, least in cut.least.items())
    return f"<p>{cut.below.sum():,} pairs are below the bound; the lowest score that is kept is {escape(listed)}.</p>"


def _line(number: int, value: float, pair: Pair) -> str:
    return row([f"{value:.4g}", pair.source[:_LONGEST], pair.target[:_LONGEST], pair.corpus, f"{number:,}"])


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}"
