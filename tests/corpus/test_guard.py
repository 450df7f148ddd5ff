import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqloom.corpus.guard import Finding, compare
from seqloom.corpus.settings import GuardSettings
from seqloom.errors import CorpusError

OFF = dict.fromkeys(GuardSettings.model_fields)
BOUNDS = {
    "max_pairs_drop": 0.2, "max_pairs_growth": 3.0, "max_split_drop": 0.5, "max_split_growth": 5.0,
    "max_rule_change": 0.1, "max_placeholder_change": 0.02, "max_length_change": 0.3, "max_language_drop": 0.05,
}  # fmt: skip
BEFORE = {
    "raw": {"a": 1000, "b": 500},
    "dropped": {"copy": 300, "placeholders": 15},
    "kept": 1185,
    "splits": {"train": 1000, "valid": 85, "test": 100},
    "groups": {"train": 10},
    "leakage": {"test": {"near_copies": 1}},
    "lengths": {"source": {"words": {"mean": 6.0, "p50": 4, "p95": 19}}, "ratio": 1.2},
    "language": {"source": 0.99, "target": 0.98},
}


def settings(**bounds):
    return GuardSettings.model_validate({**OFF, **bounds})


def changed(path, value):
    tree = copy.deepcopy(BEFORE)
    *above, last = path.split(".")
    record = tree
    for name in above:
        record = record[name]
    record[last] = value
    return tree


def refused(now, before=BEFORE, bounds=BOUNDS):
    return [finding.what for finding in compare(now, before, settings(**bounds)) if not finding.ok]


def test_equal_data_pass_and_every_number_with_a_bound_is_reported():
    found = compare(BEFORE, BEFORE, settings(**BOUNDS))
    assert all(finding.ok for finding in found)
    assert [finding.what for finding in found] == [
        "kept", "raw.a", "raw.b", "dropped.copy (share)", "dropped.placeholders (share)",
        "splits.train", "splits.valid", "splits.test", "lengths.source.words.mean", "lengths.ratio",
        "language.source", "language.target",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "inside", "outside"),
    [
        ("kept", [948, 1185, 4740], [947, 4741, 0]),
        ("raw.b", [400, 2000], [399, 2001, 0]),
        ("splits.valid", [43, 510], [42, 511]),
        ("lengths.source.words.mean", [4.2, 7.8], [4.19, 7.81]),
        ("lengths.ratio", [0.84, 1.56], [0.83, 1.57]),
        ("language.source", [0.94, 1.0], [0.93, 0.0]),
    ],
)
def test_numbers_pass_up_to_their_bounds(path, inside, outside):
    bounds = {**BOUNDS, "max_rule_change": None, "max_placeholder_change": None}
    assert [refused(changed(path, value), bounds=bounds) for value in inside] == [[] for _ in inside]
    assert [refused(changed(path, value), bounds=bounds) for value in outside] == [[path] for _ in outside]


def test_rules_are_compared_as_shares_of_the_pairs_read():
    twice = {**BEFORE, "raw": {"a": 2000, "b": 1000}, "dropped": {"copy": 600, "placeholders": 30}}
    assert refused(twice) == []
    assert refused(changed("dropped.copy", 460)) == ["dropped.copy (share)"]
    assert refused(changed("dropped.copy", 140)) == ["dropped.copy (share)"]
    assert refused(changed("dropped.placeholders", 60)) == ["dropped.placeholders (share)"]


@pytest.mark.parametrize("bound", BOUNDS)
def test_a_null_bound_is_disabled(bound):
    rubbish = {
        "raw": {"a": 10, "b": 1}, "dropped": {"copy": 10, "placeholders": 0}, "kept": 1, "splits": {"train": 1},
        "lengths": {"source": {"words": {"mean": 60.0}}, "ratio": 9.0}, "language": {"source": 0.1},
    }  # fmt: skip
    only = refused(rubbish, bounds={bound: BOUNDS[bound]})
    assert set(only) <= set(refused(rubbish))
    assert compare(rubbish, BEFORE, settings()) == []
    assert bool(only) == (not bound.endswith("_growth") and bound != "max_placeholder_change")


def test_numbers_that_only_one_side_has_are_not_compared():
    now = changed("dropped.url", 900)
    now["raw"]["new"] = 5
    del now["raw"]["b"], now["language"]
    assert refused(now, bounds={**BOUNDS, "max_rule_change": 1, "max_placeholder_change": 1}) == []
    older = {name: BEFORE[name] for name in ("raw", "dropped", "kept", "splits")}
    assert refused(BEFORE, older) == []


@given(
    before=st.integers(1, 10**9), now=st.integers(0, 10**9), drop=st.floats(0, 1), growth=st.floats(0, 10),
    tighter=st.floats(0, 1),
)  # fmt: skip
def test_tighter_bounds_never_accept_more(before, now, drop, growth, tighter):
    def passes(drop, growth):
        bounds = settings(max_pairs_drop=drop, max_pairs_growth=growth)
        return all(finding.ok for finding in compare({"kept": now}, {"kept": before}, bounds))

    if passes(drop * tighter, growth * tighter):
        assert passes(drop, growth)
    assert passes(0, 0) == (now == before)
    assert passes(1, None)


def test_a_finding_becomes_plain_data():
    assert Finding("kept", 1, 2, None, 1.5).record() == {
        "what": "kept", "now": 1, "before": 2, "low": None, "high": 1.5, "ok": True
    }  # fmt: skip


@pytest.mark.parametrize("now", [{}, {"kept": "many"}, {"kept": float("nan")}, {"kept": None}, {"kept": True}])
def test_invalid_metrics_are_an_error(now):
    with pytest.raises(CorpusError, match=r"corpus\.json is not valid"):
        compare(now, BEFORE, settings(**BOUNDS))
