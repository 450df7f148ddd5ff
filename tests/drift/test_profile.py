import json
import math

import pytest

from seqloom.drift import profile as profiles
from seqloom.drift.features import EDGES, Features
from seqloom.drift.profile import PER_BIN, Profile, every_nth, stability_index
from seqloom.languages import Direction


class Lengths:
    """Finds only the length of a text, as its number."""

    def features(self, text, direction):
        return Features(int(text), None, None, None)


def profile(*lengths):
    return Profile.of([(str(length), Direction("en", "de")) for length in lengths], Lengths())


def test_the_index_is_the_one_of_the_definition():
    ours, theirs = [20, 80], [50, 50]
    p, q = [20.5 / 101, 80.5 / 101], [0.5, 0.5]
    assert stability_index(ours, theirs) == pytest.approx(
        sum((a - b) * math.log(a / b) for a, b in zip(p, q, strict=True))
    )
    assert stability_index([30, 30], [500, 500]) == 0
    assert 0 < stability_index([0, 100], [100, 0]) < math.inf


def test_equal_shares_have_no_drift_and_others_do():
    reference = profile(*[0, 1, 2, 3] * 250)
    assert profile(*[0, 1, 2, 3] * 125).index(reference) == {"characters": pytest.approx(0, abs=1e-2)}
    assert profile(*[3] * 500).index(reference)["characters"] > 0.25


def test_a_feature_of_few_texts_is_not_compared():
    least = PER_BIN * (len(EDGES["characters"]) + 1)
    many, few = profile(*[1] * least), profile(*[1] * (least - 1))
    assert few.index(many) == many.index(few) == {}
    assert set(many.index(many)) == {"characters"}  # the other features have no texts


def test_a_text_can_be_removed():
    counted = profile(1, 2)
    counted.add(Features(2, None, None, None), -1)
    assert counted.counts == profile(1).counts


def test_a_profile_is_stored_and_read(tmp_path):
    file = tmp_path / profiles.PROFILE
    counted = profile(1, 2, 2)
    file.write_text(json.dumps(counted.record()))
    assert Profile.read(file).counts == counted.counts


@pytest.mark.parametrize(
    "change",
    [{"format": 0}, {"edges": {"characters": [1]}}, {"counts": {}}, {"counts": None}],
)
def test_a_profile_with_other_bins_is_not_read(tmp_path, change):
    file = tmp_path / profiles.PROFILE
    file.write_text(json.dumps(profile(1).record() | change))
    assert Profile.read(file) is None
    file.write_text("{")
    assert Profile.read(file) is None
    assert Profile.read(tmp_path / "missing") is None


def test_texts_are_taken_evenly(monkeypatch):
    monkeypatch.setattr(profiles, "MOST_TEXTS", 3)
    assert list(every_nth("abcdefgh", 8)) == ["a", "d", "g"]
    assert list(every_nth("ab", 2)) == ["a", "b"]
