import fcntl
import json
import os
from threading import Thread

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


def test_a_server_waits_while_another_one_stores(tmp_path):
    folder = tmp_path / "a folder" / "that is not there"
    store_comparison(folder, FIRST)
    other_server = os.open(folder / "m", os.O_RDONLY)
    fcntl.flock(other_server, fcntl.LOCK_EX)
    waiting = Thread(target=store_comparison, args=(folder, FIRST._replace(id="b")))
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    assert [each.id for each in read_comparisons(folder, "m/7")] == ["a"]
    os.close(other_server)
    waiting.join()
    assert [each.id for each in read_comparisons(folder, "m/7")] == ["a", "b"]


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


def test_a_time_too_short_to_be_measured_is_no_error():
    (sentence,) = explain_shadow([FIRST._replace(served_seconds=0.0, shadow_seconds=0.0)])
    assert "0.00 times the time" in sentence


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"format": 2, "comparisons": []}), '{"format": 1}'])
def test_a_damaged_file_has_no_comparisons(tmp_path, content):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "7.json").write_text(content)
    assert read_comparisons(tmp_path, "m/7") == []
    store_comparison(tmp_path, FIRST)
    assert read_comparisons(tmp_path, "m/7") == [FIRST]
