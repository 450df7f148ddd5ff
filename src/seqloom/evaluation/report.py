"""The test report: one HTML page with scores, charts and example segments.

The page is a single file with its style and charts inline; it loads nothing. Text from corpora and models is escaped.
The page has no date and no path, so equal results give equal bytes.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from seqloom.errors import EvaluationError
from seqloom.evaluation.cards import Cards, count_noun
from seqloom.evaluation.charts import Line, Series, bars, histogram, lines
from seqloom.evaluation.scores import Scores
from seqloom.evaluation.segments import Segments
from seqloom.evaluation.settings import TITLES, Task
from seqloom.languages import Direction
from seqloom.pages.frame import STYLE

_HEADINGS: dict[Task, str] = {
    "translation": "Translation test report",
    "summarization": "Summarization test report",
    "generation": "Generation test report",
}


class Curve(NamedTuple):
    """The learning curves of a training run, each as points (step, value)."""

    loss: list[tuple[float, float]]
    valid_loss: list[tuple[float, float]]
    valid_bleu: list[tuple[float, float]]


Facts = Mapping[str, Mapping[str, str]]
"""Title of a group -> name of a fact -> its value as text."""


def read_curve(path: Path) -> Curve | None:
    """Read plots/training.csv; return None if the file does not exist.

    Raises:
        EvaluationError: a line is malformed; the message gives its number.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    curve = Curve([], [], [])
    for number, row in enumerate(csv.DictReader(io.StringIO(text)), 2):
        for name, points in curve._asdict().items():
            try:
                if row[name] != "":
                    points.append((float(row["step"]), float(row[name])))
            except (KeyError, TypeError, ValueError) as error:
                raise EvaluationError(
                    f"{path}: line {number}: step and {name} must be numbers; run train_model again"
                ) from error
    return curve


def report(segments: Segments, scores: Scores, *, examples: int, facts: Facts, curve: Curve | None = None) -> str:
    """Return the page, with `examples` best, median and worst segments each, and `facts` in the given order."""
    cards = Cards(segments, scores)
    direction = _directions(list(scores.directions))
    sections = [
        f"<h1>{_HEADINGS[scores.task]}: {escape(direction)}</h1>",
        _lead(scores),
        *(f'<p class="warning" role="note">{escape(warning)}</p>' for warning in scores.warnings()),
        _scores(scores),
        _by_direction(scores),
        _lengths(scores),
        _distributions(segments, scores),
        _learning(curve),
        cards.placeholders(examples),
        cards.examples(examples),
        _facts(facts, scores),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>Test report {escape(direction)}</title>\n<style>\n{STYLE.read_text(encoding='utf-8')}</style>\n"
        "</head>\n<body>\n<main>\n" + "\n".join(part for part in sections if part) + "\n</main>\n</body>\n</html>\n"
    )


def _directions(directions: Sequence[Direction]) -> str:
    """Return `en → de`, `en → de, fr` or, if source and target are the same language, `en`; with no-break spaces."""
    sources = list(dict.fromkeys(each.source for each in directions))
    if len(sources) > 1:
        return ", ".join(f"{each.source}\u00a0→\u00a0{each.target}" for each in directions)
    targets = ", ".join(each.target for each in directions)
    return targets if [targets] == sources else f"{sources[0]}\u00a0→\u00a0{targets}"


def _lead(scores: Scores) -> str:
    best, mean = scores.leader, ""
    if len(scores.directions) > 1:
        mean = f"mean of {len(scores.directions)} directions, "
    simple = "copying the source gives" if scores.task == "translation" else "the beginning of the source gives"
    return (
        f'<p class="lead">{best.score:.1f} {TITLES[scores.leading]} on {count_noun(scores.segments, "test segment")} '
        f"({mean}95% interval {best.low:.1f} to {best.high:.1f}); {simple} {scores.baseline[scores.leading]:.1f}.</p>"
    )


def _scores(scores: Scores) -> str:
    rows = [
        (
            TITLES[name],
            f"{each.score:.1f}",
            f"{each.low:.1f} to {each.high:.1f}",
            f"{scores.baseline[name]:.1f}" if name in scores.baseline else "",
        )
        for name, each in scores.scores.items()
    ]
    signatures = "".join(
        f"<li><small>{TITLES[name]}</small> <code>{escape(each.signature)}</code></li>"
        for name, each in scores.scores.items()
    )
    translated = scores.task == "translation"
    ratio = scores.hypothesis_tokens / scores.reference_tokens if scores.reference_tokens else 0.0
    notes = [
        "For BLEU and chrF higher is better, for TER lower." if translated else "Higher is better; ROUGE is the F1.",
        f"The {'translations' if translated else 'texts'} have {scores.hypothesis_tokens:,} tokens, the references "
        f"{scores.reference_tokens:,} (ratio {ratio:.3f}, brevity penalty {scores.brevity_penalty:.3f}).",
    ]
    kept = scores.placeholders
    if kept is not None and kept.accuracy is not None:
        notes.append(
            f"In {kept.accuracy:.1%} of the {count_noun(kept.segments, 'segment')} with placeholders, all are kept."
        )
    simple = "Copied source" if translated else "Beginning of the source"
    return (
        "<h2>Scores</h2>\n"
        + _table(("Metric", "Score", "95% interval", simple), rows, numbers=(1, 2, 3))
        + f"\n<p>{' '.join(notes)}</p>\n"
        '<p class="muted">The interval is the middle 95% of the scores of resampled test sets. It shows how much a '
        "score depends on which segments are in the test set. Scores are comparable only if they have the same "
        "signature and the same test set.</p>\n"
        f'<ul class="signatures">{signatures}</ul>'
    )


def _by_direction(scores: Scores) -> str:
    """Return a table of the directions, or nothing if there is only one."""
    if len(scores.directions) == 1:
        return ""
    names = list(scores.scores)
    rows = [
        (
            f"{direction.source} → {direction.target}",
            f"{each.segments:,}",
            *(f"{each.scores[n].score:.1f} [{each.scores[n].low:.1f}, {each.scores[n].high:.1f}]" for n in names),
        )
        for direction, each in scores.directions.items()
    ]
    head = ("Direction", "Segments", *(TITLES[name] for name in names))
    return (
        "<h2>By direction</h2>\n"
        '<p class="muted">Each direction is scored separately, with its 95% interval. The scores above are the '
        "unweighted means of these; all other figures are over all segments.</p>\n"
        + _table(head, rows, numbers=range(1, len(head)))
    )


def _lengths(scores: Scores) -> str:
    buckets = scores.by_length
    names = list(buckets[0].scores)
    drawn = names[:2]  # a chart has two colours
    chart = bars(
        "Score by source length",
        [bucket.words for bucket in buckets],
        [Series(TITLES[name], [bucket.scores[name] for bucket in buckets]) for name in drawn],
        x_label="words in the source; below, number of segments",
        notes=[f"{bucket.segments:,}" for bucket in buckets],
    )
    rows = [(b.words, f"{b.segments:,}", *(f"{b.scores[name]:.1f}" for name in names)) for b in buckets]
    head = ("Source words", "Segments", *(TITLES[name] for name in names))
    table = _table(head, rows, numbers=range(1, len(head)))
    return (
        '<h2>By source length</h2>\n<p class="muted">Scores of buckets with few segments are unreliable. BLEU counts '
        "matches of up to four words in a row, so it is low for very short segments.</p>\n"
        f'<div class="charts">\n{chart}\n{table}\n</div>'
    )


def _distributions(segments: Segments, scores: Scores) -> str:
    ratios = [len(h) / len(r) for h, r in zip(segments.hypotheses, segments.references, strict=True) if r]
    chrf = histogram(
        "chrF of single segments", scores.segment_chrf, low=0, high=100, bins=20,
        x_label="chrF; vertical axis: number of segments",
    )  # fmt: skip
    length = histogram(
        "Length relative to the reference", ratios, low=0, high=2, bins=20,
        x_label="characters per character of the reference; 2.0 and above",
    )  # fmt: skip
    return f'<h2>Distribution over segments</h2>\n<div class="charts">\n{chrf}\n{length}\n</div>'


def _learning(curve: Curve | None) -> str:
    if curve is None:
        return ""
    measured = [("training", curve.loss), ("validation", curve.valid_loss)]
    charts = [
        lines("Loss per target token", [Line(name, points) for name, points in measured if points], x_label="updates"),
        lines(
            "BLEU on the validation split",
            [Line("BLEU", curve.valid_bleu)] if curve.valid_bleu else [],
            x_label="updates",
            from_zero=True,
        ),
    ]
    body = "\n".join(chart for chart in charts if chart)
    return f'<h2>Learning curves</h2>\n<div class="charts">\n{body}\n</div>' if body else ""


def _facts(facts: Facts, scores: Scores) -> str:
    groups = [
        f"<div><h3>{escape(title)}</h3>{_table((), list(group.items()))}</div>"
        for title, group in facts.items()
        if group
    ]
    return (
        f'<h2>What was tested</h2>\n<div class="facts">\n{"".join(groups)}\n</div>\n'
        f"<p><small>Test set, SHA-256</small><br><code>{scores.test_sha256}</code></p>"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    def cells(tag: str, row: Sequence[str]) -> str:
        kinds = [' class="number"' if column in numbers else "" for column in range(len(row))]
        return "".join(f"<{tag}{kind}>{escape(cell)}</{tag}>" for kind, cell in zip(kinds, row, strict=True))

    top = f"<thead><tr>{cells('th', head)}</tr></thead>" if head else ""
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f'<div class="wide"><table>{top}<tbody>{body}</tbody></table></div>'
