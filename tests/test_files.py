from seqloom.files import flatten


def test_flatten_joins_names_with_dots_and_keeps_other_values() -> None:
    assert flatten({"a": {"b": 1, "c": {"d": [2]}}, "e": None}) == {"a.b": 1, "a.c.d": [2], "e": None}
