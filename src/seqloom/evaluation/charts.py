"""Small charts as SVG text.

Charts use CSS classes instead of colours, so the page's style sets the colours in light and dark mode. They are narrow
enough to be readable on a phone. Equal numbers give equal bytes.
"""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 360, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 38, 10, 26, 44  # room for labels around the plot
_MOST_POINTS = 300  # per line; more could not be distinguished at this size


class Series(NamedTuple):
    """A name and its values."""

    name: str
    values: Sequence[float]


class Line(NamedTuple):
    """A name and its points (x, y), x ascending."""

    name: str
    points: Sequence[tuple[float, float]]


def bars(
    title: str, labels: Sequence[str], series: Sequence[Series], *, x_label: str, notes: Sequence[str] = ()
) -> str:
    """Return a bar chart with one group per label and one bar per series, starting at 0.

    The value is written above each bar if there is room; each label can have a note below it.
    """
    scale = _Scale(0.0, max((value for each in series for value in each.values), default=0.0))
    group = (WIDTH - _LEFT - _RIGHT) / max(len(labels), 1)
    width = min(group * 0.76 / len(series), 34.0)
    drawn = scale.grid()
    for index, label in enumerate(labels):
        middle = _LEFT + group * (index + 0.5)
        for number, each in enumerate(series):
            x, y = middle + (number - len(series) / 2) * width, scale.y(each.values[index])
            drawn.append(_bar(x, y, width - 2, number))
            if width >= 18:
                drawn.append(_text(x + width / 2 - 1, y - 4, f"{each.values[index]:.0f}", "value"))
        drawn.append(_text(middle, HEIGHT - _BOTTOM + 14, label, "label"))
        if notes:
            drawn.append(_text(middle, HEIGHT - _BOTTOM + 26, notes[index], "tick"))
    return _svg(title, drawn, x_label, [each.name for each in series], below=40 if notes else 30)


def histogram(title: str, values: Sequence[float], *, low: float, high: float, bins: int, x_label: str) -> str:
    """Return a histogram with `bins` equal bins over [low, high]; values outside are counted in the outermost bins."""
    counts = [0] * bins
    step = (high - low) / bins
    for value in values:
        counts[min(max(int((value - low) / step), 0), bins - 1)] += 1
    scale = _Scale(0.0, max(counts))
    width = (WIDTH - _LEFT - _RIGHT) / bins
    drawn = scale.grid()
    drawn += [_bar(_LEFT + width * i, scale.y(count), width - 1, 0) for i, count in enumerate(counts) if count]
    across = _Scale(low, high)
    for tick in across.ticks():
        if low <= tick <= high:
            x = _LEFT + (tick - low) / (high - low) * (WIDTH - _LEFT - _RIGHT)
            drawn.append(_text(x, HEIGHT - _BOTTOM + 14, across.shown(tick), "tick"))
    return _svg(title, drawn, x_label, [])


def lines(title: str, series: Sequence[Line], *, x_label: str, from_zero: bool = False) -> str:
    """Return a line chart with a common x axis; an empty string if there are no points."""
    xs = [x for line in series for x, _ in line.points]
    ys = [y for line in series for _, y in line.points]
    if not xs:
        return ""
    scale = _Scale(0.0 if from_zero else min(ys), max(ys))
    across = _Scale(min(xs), max(xs))
    span = (max(xs) - min(xs)) or 1.0

    def place(x: float) -> float:
        return _LEFT + (x - min(xs)) / span * (WIDTH - _LEFT - _RIGHT)

    drawn = scale.grid()
    for tick in across.ticks():
        if min(xs) <= tick <= max(xs):
            drawn.append(_text(place(tick), HEIGHT - _BOTTOM + 14, across.shown(tick), "tick"))
    for number, line in enumerate(series):
        points = [(place(x), scale.y(y)) for x, y in _thinned(line.points)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        drawn.append(f'<polyline class="line s{number + 1}" points="{path}"/>')
        if len(points) <= 40:
            drawn += [f'<circle class="bar s{number + 1}" cx="{x:.1f}" cy="{y:.1f}" r="2.4"/>' for x, y in points]
    return _svg(title, drawn, x_label, [line.name for line in series])


class _Scale:
    """Round axis ticks for a range of values, and the vertical position of each value."""

    def __init__(self, low: float, high: float) -> None:
        span = high - low if high - low > 1e-9 else 1.0
        rough = span / 4
        power = 10.0 ** math.floor(math.log10(rough))
        self.step = next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= rough * 0.999)
        self.low = math.floor(low / self.step + 1e-9) * self.step
        self.high = max(math.ceil(high / self.step - 1e-9) * self.step, self.low + self.step)

    def ticks(self) -> list[float]:
        return [self.low + i * self.step for i in range(round((self.high - self.low) / self.step) + 1)]

    def shown(self, tick: float) -> str:
        digits = next(digits for digits in range(12) if math.isclose(self.step, round(self.step, digits)))
        return f"{tick:,.{digits}f}"

    def y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - (value - self.low) / (self.high - self.low) * (HEIGHT - _TOP - _BOTTOM)

    def grid(self) -> list[str]:
        drawn = []
        for tick in self.ticks():
            y = self.y(tick)
            drawn.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            drawn.append(_text(_LEFT - 6, y + 3.5, self.shown(tick), "tick end"))
        return drawn


def _thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    every = -(-len(points) // _MOST_POINTS)
    return points if every <= 1 else [*points[:-1:every], points[-1]]


def _bar(x: float, y: float, width: float, series: int) -> str:
    size = f'width="{width:.1f}" height="{HEIGHT - _BOTTOM - y:.1f}"'
    return f'<rect class="bar s{series + 1}" x="{x:.1f}" y="{y:.1f}" {size} rx="1.5"/>'


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _svg(title: str, drawn: Sequence[str], x_label: str, legend: Sequence[str], below: int = 30) -> str:
    """Return the figure; its title is both the caption and the label for screen readers."""
    parts = [*drawn, _text((WIDTH + _LEFT - _RIGHT) / 2, HEIGHT - _BOTTOM + below, x_label, "label muted")]
    x = float(_LEFT)
    for number, name in enumerate(legend if len(legend) > 1 else []):
        parts.append(f'<rect class="bar s{number + 1}" x="{x:.1f}" y="4" width="9" height="9" rx="1.5"/>')
        parts.append(_text(x + 13, 12.5, name, "label start"))
        x += 30 + 6.4 * len(name)
    body = "\n".join(parts)
    name = escape(title, quote=True)
    svg = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}">\n{body}\n</svg>'
    return f"<figure>\n<figcaption>{name}</figcaption>\n{svg}\n</figure>"
