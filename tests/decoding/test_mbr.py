"""Compare minimum Bayes risk with sacrebleu's sentence chrF, pair by pair."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import CHRF

from seqloom.decoding.mbr import chrf, rank
from tests.examples import examples

words = st.sampled_from(["a", "the", "light", "Licht", "größer", "on", "off", "x", "!", "日本", "light."])
sentences = st.one_of(st.lists(words, max_size=8).map(" ".join), st.text(max_size=12))
fast = settings(max_examples=examples(60), deadline=None)


def sacrebleus(hypothesis, reference):
    return CHRF().sentence_score(hypothesis, [reference]).score


@fast
@given(st.lists(sentences, min_size=1, max_size=6))
def test_chrf_equals_sacrebleu(texts):
    expected = [[sacrebleus(hypothesis, reference) for reference in texts] for hypothesis in texts]
    assert chrf(texts) == pytest.approx(np.array(expected), abs=1e-9)


@fast
@given(
    st.lists(sentences, min_size=1, max_size=4).flatmap(
        lambda few: st.lists(st.sampled_from(few), min_size=1, max_size=9)
    )
)
def test_the_ranking_equals_brute_force(samples):
    risks = {
        text: sum(sacrebleus(text, reference) for reference in samples) / len(samples)
        for text in dict.fromkeys(samples)
    }
    found = rank(samples)
    assert {samples[each.first]: each.utility for each in found} == pytest.approx(risks)
    assert [each.utility for each in found] == sorted((each.utility for each in found), reverse=True)
    assert all(samples[each.first] not in samples[: each.first] for each in found)
    assert len(found) == len(risks)


def test_the_sample_most_similar_to_the_others_wins_not_the_most_frequent():
    assert (
        rank(["zzz", "zzz", "the light is on", "the light is off", "the lights are on", "a light is on"])[0].first == 2
    )


def test_ties_keep_the_order_of_drawing():
    assert [each.first for each in rank(["ab", "cd", "ab", "cd", "ef"])] == [0, 1, 4]
    assert [each.first for each in rank(["", " ", ""])] == [0, 1]
    assert rank(["same"] * 3) == [(0, 100.0)]
