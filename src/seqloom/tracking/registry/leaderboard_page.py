"""Renders the leaderboard as one HTML file without external resources. All text from runs or users is escaped."""

from collections.abc import Iterator, Sequence
from html import escape

from seqloom.evaluation.settings import METRICS, TITLES
from seqloom.pages.frame import document, table
from seqloom.tracking.registry.leaderboard import Board, Row
from seqloom.tracking.registry.leaderboard_records import StoredScore

_SIGNIFICANT = 0.05
_JOULES_PER_WATT_HOUR = 3600
_CHART = 120  # width of the picture of an interval, in pixels
_NONE = "–"
_STYLE = """\
main { max-width: 76rem; }
tr.champion td { background: var(--card); }
tr.champion td:first-child { box-shadow: inset 3px 0 var(--good); }
th, td { padding-right: 1rem; }
td:first-child, th:first-child { padding-left: .6rem; }
svg.interval { width: 120px; height: 20px; max-width: none; }
svg.interval line { stroke: var(--series-1); stroke-width: 2; }
svg.interval line.reference { stroke: var(--muted); stroke-width: 1; stroke-dasharray: 3 3; }
svg.interval circle { fill: var(--series-1); }
.better { color: var(--good); } .worse { color: var(--warn); }
td small { white-space: nowrap; }
@media (max-width: 34rem) { td:nth-child(2) small { white-space: normal; } }
"""


def page(board: Board) -> str:
    """Return the page as HTML."""
    title = f"Leaderboard: {board.model}" if board.model else "Leaderboard"
    return document(title, "\n".join(part for part in _parts(board) if part), _STYLE)


def _parts(board: Board) -> Iterator[str]:
    leading, reference = TITLES[board.leading], escape(board.reference.title)
    count = len(board.rows)
    who = "the champion" if board.reference.champion else "the best system; there is no champion on this test set"
    yield (
        f'<p class="lead">{count:,} system{"" if count == 1 else "s"} on {board.segments:,} test segments, '
        f"by {leading}. Differences are to {reference}, {who}.</p>"
    )
    others = [name for name in METRICS[board.task] if name != board.leading]
    devices = _devices(board)
    trained = f" All were trained on {escape(devices.pop())}." if len(devices) == 1 else ""
    heads = ["", "System", leading, "95% interval", "Difference", *(TITLES[name] for name in others)]
    heads += ["Decoding", "Size", "Training"]
    scale = _scale(board.rows)
    yield table(heads, [_row(board, row, others, scale) for row in board.rows])
    yield (
        '<p class="muted">The interval holds the middle 95% of the scores of resampled test sets; the dashed line is '
        f"the score of {reference}. Below a difference are its 95% interval and p: how often chance gives such a "
        "difference (paired bootstrap resampling, Koehn 2004). It is coloured if p is below 0.05. Decoding was "
        f"timed over the test set once, on the machine that registered the version.{trained}</p>"
    )
    yield _apart(board)
    yield _others(board)
    yield (
        f"<h2>How it was scored</h2>\n<p><small>{leading}</small><br>"
        f"<code>{escape(board.reference.result.leader.signature)}</code></p>\n"
        f"<p><small>Test set, SHA-256</small><br><code>{board.test_sha256}</code></p>"
    )


def _row(board: Board, row: Row, others: Sequence[str], scale: tuple[float, float]) -> str:
    result, best = row.result, row.result.leader
    cells = [
        str(row.rank),
        _system(row, device=len(_devices(board)) > 1),
        f"<strong>{best.score:.2f}</strong>{_directions(board, row)}",
        f"{_picture(best, board.reference.result.leader.score, scale)}<small>{best.low:.1f} to {best.high:.1f}</small>",
        _difference(row),
        *(f"{result.scores[name].score:.1f}" if name in result.scores else _NONE for name in others),
        _lines(row.speed and f"{row.speed:,.1f} segments/s"),
        _lines(
            result.size_bytes and f"{result.size_bytes / 1e6:,.1f} MB",
            result.parameters and f"{result.parameters:,} parameters",
        ),
        _lines(*_costs(row)),
    ]
    body = "".join(
        f'<td class="number">{cell}</td>' if index in (0, 2) or 5 <= index < 5 + len(others) else f"<td>{cell}</td>"
        for index, cell in enumerate(cells)
    )
    return f'<tr class="champion">{body}</tr>' if row.champion else f"<tr>{body}</tr>"


def _system(row: Row, *, device: bool = False) -> str:
    notes = ["champion"] if row.champion else []
    if row.result.kind == "external":
        notes.append("external" if row.kept else "external, not kept")
    elif row.entry is None:
        notes.append("recorded in another clone")
    if row.title != row.result.name:
        notes.append(row.result.name)
    return _lines(row.title, *notes, row.result.device if device else None)


def _devices(board: Board) -> set[str]:
    return {row.result.device for row in board.rows if row.result.device is not None}


def _directions(board: Board, row: Row) -> str:
    found = row.result.by_direction
    if not found:
        return ""
    each = (
        f"{escape(name)} {scores[board.leading].score:.1f}" for name, scores in found.items() if board.leading in scores
    )
    return f"<br><small>mean of<br>{'<br>'.join(each)}</small>"


def _difference(row: Row) -> str:
    pair = row.difference
    if pair is None:
        return _NONE
    kind = "" if pair.p >= _SIGNIFICANT else ' class="better"' if pair.gain > 0 else ' class="worse"'
    return (
        f"<span{kind}>{pair.gain:+.2f}</span><br><small>[{pair.low:+.2f}, {pair.high:+.2f}]</small>"
        f"<br><small>p {pair.p:.3f}</small>"
    )


def _costs(row: Row) -> Iterator[str]:
    costs = row.result.costs
    if (seconds := costs.get("seconds")) is not None:
        yield f"{seconds:,.0f} s"
    if gpu := costs.get("gpu_seconds"):
        yield f"{gpu:,.0f} GPU seconds"
    joules = [value for name, value in costs.items() if name.startswith("joules.")]
    if joules:
        yield f"{sum(joules) / _JOULES_PER_WATT_HOUR:,.2f} Wh"
    if (rate := row.result.training_tokens_per_s) is not None:
        yield f"{rate:,.0f} tokens/s"


def _scale(rows: Sequence[Row]) -> tuple[float, float]:
    leaders = [row.result.leader for row in rows]
    low, high = min(each.low for each in leaders), max(each.high for each in leaders)
    return (low, high) if high > low else (low - 1, high + 1)


def _picture(score: StoredScore, reference: float, scale: tuple[float, float]) -> str:
    """Return an SVG of the interval as a line, with a dot at the score."""

    def x(value: float) -> str:
        return f"{6 + (value - scale[0]) / (scale[1] - scale[0]) * (_CHART - 12):.1f}"

    dashed = f'<line class="reference" x1="{x(reference)}" x2="{x(reference)}" y1="0" y2="20"/>'
    line = f'<line x1="{x(score.low)}" x2="{x(score.high)}" y1="10" y2="10"/>'
    return (
        f'<svg class="interval" viewBox="0 0 {_CHART} 20" role="img" aria-label="{score.low:.1f} to {score.high:.1f}">'
        f'{dashed}{line}<circle cx="{x(score.score)}" cy="10" r="4"/></svg>'
    )


def _lines(first: object = None, *notes: object) -> str:
    """Return the facts that are not empty, one per line, the first one in larger type."""
    facts = [escape(str(fact)) for fact in (first, *notes) if fact]
    return "<br>".join([facts[0], *(f"<small>{fact}</small>" for fact in facts[1:])]) if facts else _NONE


def _apart(board: Board) -> str:
    if not board.apart:
        return ""
    rows = [
        f"<tr><td>{_system(row)}</td><td>{row.result.leader.score:.2f}</td>"
        f"<td><code>{escape(row.result.leader.signature)}</code></td></tr>"
        for row in board.apart
    ]
    return (
        "<h2>Not ranked</h2>\n<p>These were scored by another metric or with another signature.</p>\n"
        f"{table(['System', 'Score', 'Signature'], rows)}"
    )


def _others(board: Board) -> str:
    if not board.left_out:
        return ""
    rows = [f"<tr><td><code>{test}</code></td><td>{count:,}</td></tr>" for test, count in board.left_out.items()]
    return f"<h2>Other test sets</h2>\n{table(['SHA-256', 'Systems'], rows)}"
