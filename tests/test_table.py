import pytest

from seqloom.table import table


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert table([("name", "BLEU", ""), ("a", "9.5", "x")], right=[1]) == ["name  BLEU", "a      9.5  x"]


def test_no_rows_give_no_lines() -> None:
    assert table([]) == []


@pytest.mark.parametrize(
    ("cell", "shown", "columns"),
    [
        ("日本語", "日本語", 6),
        ("e\u0301te\u0301", "e\u0301te\u0301", 3),
        ("👋", "👋", 2),
        ("a\nb\x1b[31m", r"a\nb\x1b[31m", 12),
        ("[red]", "[red]", 5),
    ],
)
def test_columns_are_aligned_by_display_width(cell: str, shown: str, columns: int) -> None:
    assert table([(cell, "x"), ("-" * 12, "y")]) == [shown + " " * (12 - columns) + "  x", "-" * 12 + "  y"]


def test_long_cells_are_not_truncated() -> None:
    assert table([("a" * 500, "b")]) == ["a" * 500 + "  b"]
