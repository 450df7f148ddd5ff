import json

import pytest

from seqloom.gate.shadow import MOST, Comparison, explain_shadow, read_comparisons, store_comparison

FIRST = Comparison(
    "a", "m/3", "m/7", "2026-11-29T10:00:00+00:00", "2026-11-29T11:00:00+00:00", 1200, 1, 2000, 250,
    190_000.0, 10.0, 11.0, {"copied": 20}, {"copied": 20, "looped": 2},
)  # fmt: skip


def test_a_comparison_is_stored_and_replaced(tmp_path):
    store_comparison(tmp_path, FIRST._replace(texts=1))
    store_comparison(tmp_path, FIRST._replace(id="b"))
    store_comparison(tmp_path, FIRST)
    assert [each.id for each in read_comparisons(tmp_path, "m/7")] == ["b", "a"]
    assert read_comparisons(tmp_path, "m/7")[1] == FIRST
    assert read_comparisons(tmp_path, "m/8") == []


def test_only_the_newest_are_kept(tmp_path):
    for number in range(MOST + 2):
        store_comparison(tmp_path, FIRST._replace(id=str(number)))
    assert [each.id for each in read_comparisons(tmp_path, "m/7")] == [str(number) for number in range(2, MOST + 2)]


def test_a_shadow_is_explained_for_each_version_that_served():
    again = FIRST._replace(id="b", failed=0)
    other = FIRST._replace(id="c", served="m/4", failed=0)
    empty = FIRST._replace(id="d", served="m/5", texts=0)
    assert explain_shadow([FIRST, other, again, empty]) == [
        "as a shadow of m/3 on 2,400 requests; 1 failed: 12.5% of 4,000 texts differ, chrF 95.0 between both, "
        "1.10 times the time, 0.011 flags per text instead of 0.010",
        "as a shadow of m/4 on 1,200 requests: 12.5% of 2,000 texts differ, chrF 95.0 between both, "
        "1.10 times the time, 0.011 flags per text instead of 0.010",
    ]
    assert explain_shadow([]) == []


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"format": 2, "comparisons": []}), '{"format": 1}'])
def test_a_damaged_file_has_no_comparisons(tmp_path, content):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "7.json").write_text(content)
    assert read_comparisons(tmp_path, "m/7") == []
    store_comparison(tmp_path, FIRST)
    assert read_comparisons(tmp_path, "m/7") == [FIRST]
