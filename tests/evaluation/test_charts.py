import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqloom.evaluation.charts import HEIGHT, WIDTH, Line, Series, bars, histogram, lines

numbers = st.floats(0, 1e6, allow_nan=False)


def shapes(figure, tag):
    """Return the elements with a tag; fail if the figure is not well-formed or something is outside its frame."""
    found = ElementTree.fromstring(figure).iter(tag)
    kept = []
    for element in found:
        x, y = (float(element.get(name, element.get(f"c{name}", "0"))) for name in "xy")
        assert -0.1 <= x <= WIDTH + 0.1
        assert -0.1 <= y <= HEIGHT + 0.1
        kept.append(element)
    return kept


@given(values=st.lists(numbers, min_size=1, max_size=8))
def test_bars_are_as_high_as_their_values(values):
    figure = bars("t", [str(i) for i in range(len(values))], [Series("a", values)], x_label="x")
    heights = [float(bar.get("height")) for bar in shapes(figure, "rect")]
    assert len(heights) == len(values)
    if max(values) > 1:
        for height, value in zip(heights, values, strict=True):
            assert height / max(heights) == pytest.approx(value / max(values), abs=0.01)


def test_each_series_has_its_colour_and_legend_entry():
    figure = bars("t", ["1", "2"], [Series("BLEU", [1, 2]), Series("chrF", [3, 4])], x_label="x", notes=["n1", "n2"])
    assert [bar.get("class") for bar in shapes(figure, "rect")].count("bar s2") == 3
    assert {"BLEU", "chrF", "n1", "n2"} <= {text.text for text in shapes(figure, "text")}


@given(values=st.lists(st.floats(-1, 3), max_size=50))
def test_a_histogram_counts_every_value_once(values):
    figure = histogram("t", values, low=0, high=2, bins=4, x_label="x")
    expected = [0] * 4
    for value in values:
        expected[0 if value < 0.5 else 1 if value < 1 else 2 if value < 1.5 else 3] += 1
    heights = [float(bar.get("height")) for bar in shapes(figure, "rect")]
    assert len(heights) == sum(count > 0 for count in expected)
    if heights:
        share = [count / max(expected) for count in expected if count]
        assert [height / max(heights) for height in heights] == pytest.approx(share, abs=0.01)


def test_lines_follow_their_values_and_long_ones_are_thinned():
    figure = lines("t", [Line("a", [(x, x * x) for x in range(5000)])], x_label="x")
    (line,) = shapes(figure, "polyline")
    points = [tuple(map(float, point.split(","))) for point in line.get("points").split()]
    assert 100 < len(points) <= 301
    assert points == sorted(points, key=lambda point: (point[0], -point[1]))
    assert points[0][0] == pytest.approx(38)
    assert points[-1][0] == pytest.approx(WIDTH - 10)


@pytest.mark.parametrize("points", [[(5, 2.0)], [(1, 3.0), (2, 3.0)], [(1, -3.0), (9, 1e-9)]])
def test_lines_of_one_point_or_one_value_are_drawn(points):
    assert len(shapes(lines("t", [Line("a", points)], x_label="x"), "circle")) == len(points)


def test_a_chart_without_points_is_empty():
    assert lines("t", [], x_label="x") == ""


@pytest.mark.parametrize(
    ("high", "ticks"), [(1, "0.00 0.25 1.00"), (0.08, "0.00 0.02"), (100, "0 25 50 75 100"), (4000, "0 1,000 2,000")]
)
def test_ticks_are_round_numbers(high, ticks):
    shown = re.findall(r'class="tick end"[^>]*>([^<]*)<', bars("t", ["l"], [Series("s", [high])], x_label="x"))
    assert set(ticks.split()) <= set(shown)
    assert 3 <= len(shown) <= 7


def test_texts_are_escaped():
    figure = bars("<script>", ["<b>"], [Series("&", [1]), Series('"', [1])], x_label="<i>", notes=["<u>"])
    ElementTree.fromstring(figure)
    assert "<script>" not in figure
