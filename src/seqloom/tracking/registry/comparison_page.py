"""Renders a comparison as one HTML file without external resources. All text from data or users is escaped."""

from collections.abc import Sequence
from html import escape

from seqloom.evaluation.settings import TITLES
from seqloom.evaluation.significance import Difference
from seqloom.pages.frame import document, row, table
from seqloom.tracking.registry.comparison import Comparison

_NUMBERS = '<td class="number">'


def page(found: Comparison) -> str:
    """Return the page as HTML."""
    titles = [run.title for run in found.runs]
    heading = " and ".join(titles) if len(titles) == 2 else f"{len(titles)} runs"
    body = "\n".join(
        [_scores(found, titles), _params(found, titles), _segments(found, titles), _origins(found, titles)]
    )
    return document(heading, body)


def _scores(found: Comparison, titles: Sequence[str]) -> str:
    rows = [
        f"<tr><td>{TITLES[metric]}</td>{_NUMBERS}{each[0].theirs:.2f}</td>{''.join(map(_score, each))}</tr>"
        for metric, each in found.scores.items()
    ]
    count = len(found.runs[0].segments.sources)
    return (
        f"<h2>Scores</h2>\n{table(['Metric', *titles], rows)}\n"
        f'<p class="muted">On {count:,} segments. Below each score: the difference to {escape(titles[0])}, its 95% '
        "interval, and p: how often chance gives such a difference (paired bootstrap resampling, Koehn 2004). "
        "Scores with p below 0.05 are bold. For TER, lower is better.</p>"
    )


def _score(difference: Difference) -> str:
    shown = f"{difference.ours:.2f}"
    shown = f"<strong>{shown}</strong>" if difference.p < 0.05 else shown
    interval = f"{difference.gain:+.2f} [{difference.low:+.2f}, {difference.high:+.2f}]"
    return f"{_NUMBERS}{shown}<br><small>{interval}<br>p {difference.p:.3f}</small></td>"


def _params(found: Comparison, titles: Sequence[str]) -> str:
    if not found.params:
        return "<h2>Params</h2>\n<p>They do not differ.</p>"
    rows = [row([name, *("–" if value is None else value for value in each)]) for name, each in found.params.items()]
    return f"<h2>Params that differ</h2>\n{table(['Setting', *titles], rows)}"


def _segments(found: Comparison, titles: Sequence[str]) -> str:
    texts = found.runs[0].segments
    cards = []
    for index in found.furthest:
        direction = texts.directions[index]
        rows = [
            ("Source", direction.source, texts.sources[index], ""),
            ("Reference", direction.target, texts.references[index], ""),
        ]
        rows += [
            (title, direction.target, run.segments.hypotheses[index], f" <small>chrF {run.chrf[index]:.1f}</small>")
            for title, run in zip(titles, found.runs, strict=True)
        ]
        shown = "".join(
            f'<dt>{escape(name)}</dt><dd lang="{escape(language)}" dir="auto">'
            f"{escape(text) or '<small>(empty)</small>'}{note}</dd>"
            for name, language, text, note in rows
        )
        cards.append(f'<div class="segment"><dl>{shown}</dl></div>')
    caption = (
        '<p class="muted">The segments whose chrF differs most.</p>' if cards else "<p>Every text is the same.</p>"
    )
    return f"<h2>Where they differ most</h2>\n{caption}\n" + "\n".join(cards)


def _origins(found: Comparison, titles: Sequence[str]) -> str:
    rows = [
        row([title, run.origin.run_id, run.origin.commit or "–", run.origin.device or "–"])
        for title, run in zip(titles, found.runs, strict=True)
    ]
    return f"<h2>Where they come from</h2>\n{table(['', 'Run', 'Commit', 'Device'], rows)}"
