"""Scores by hand, and thresholds by share and by value."""

import math

import numpy as np
import pytest

from seqloom.filtering.scores import cut, scores
from seqloom.filtering.settings import ScoreSettings, Threshold

WAY = np.array(["en-de"] * 4)
FORWARD = np.array([1.0, 2.0, 1.0, 5.0])
BACKWARD = np.array([1.0, 2.0, 3.0, 5.0])


def test_the_dual_score_falls_with_entropy_and_with_disagreement():
    found = scores({"forward": FORWARD, "backward": BACKWARD}, WAY, centred=False)["quality"]
    assert found == pytest.approx([math.exp(-1), math.exp(-2), math.exp(-2 - 2), math.exp(-5)])


def test_centred_models_may_differ_in_strength():
    plain = scores({"forward": FORWARD, "backward": FORWARD}, WAY, centred=True)["quality"]
    weaker = scores({"forward": FORWARD, "backward": FORWARD + 3}, WAY, centred=True)["quality"]
    assert weaker == pytest.approx(plain * math.exp(-1.5))  # the order is the same


def test_without_a_backward_model_the_score_is_one_sided():
    assert scores({"forward": FORWARD}, WAY, centred=True)["quality"] == pytest.approx(np.exp(-FORWARD))


def test_the_domain_score_is_the_contrast_of_two_models_and_at_most_one():
    entropies = {"in_domain": np.array([1.0, 3.0, np.inf, 2.0]), "general": np.array([2.0, 1.0, np.inf, 2.0])}
    assert scores(entropies, WAY, centred=True)["domain"] == pytest.approx([1.0, math.exp(-2), 1.0, 1.0])


def test_a_share_is_taken_of_each_direction():
    ways = np.array(["en-de"] * 4 + ["en-fr"] * 4)
    values = np.array([0.9, 0.1, 0.8, 0.7, 0.05, 0.01, 0.04, 0.02])
    found = cut(values, ways, Threshold(drop=0.25))
    assert np.flatnonzero(found.below).tolist() == [1, 5]
    assert found.least == {"en-de": 0.7, "en-fr": 0.02}


def test_a_value_and_a_share_both_leave_out():
    values = np.array([0.4, 0.1, 0.3, 0.2])
    assert np.flatnonzero(cut(values, WAY, Threshold(drop=0.25, least=0.25)).below).tolist() == [1, 3]
    assert not cut(values, WAY, Threshold()).below.any()


def test_pairs_without_a_direction_are_never_left_out():
    ways = np.array(["en-de", "", "en-de", ""])
    assert cut(np.array([0.5, 0.1, 0.4, 0.2]), ways, Threshold(drop=0.5)).below.tolist() == [False, False, True, False]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backward": "models:/m/1"}, "must be set if backward is"),
        ({"in_domain": "models:/m/1"}, "must be set, too"),
        ({"quality": {"drop": 0.1}}, "set forward"),
        ({"forward": "models:/m/1", "domain": {"least": 0.1}}, "set in_domain"),
        ({"forward": "models:/m@champion"}, "by number"),
    ],
)
def test_settings_that_contradict_each_other(changes, message):
    with pytest.raises(ValueError, match=message):
        ScoreSettings(**changes)
