from seqloom.cli.table import table


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert table([("name", "BLEU", ""), ("a", "9.5", "x")], right=[1]) == ["name  BLEU", "a      9.5  x"]


def test_no_rows_are_no_lines() -> None:
    assert table([]) == []
