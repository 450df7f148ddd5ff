"""Scores and intervals are compared with sacreBLEU's own corpus_score."""

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF, TER

from seqloom.evaluation.metrics import CountedMetric, bleu, chrf, corpus_bleu, ter

METRICS = pytest.mark.parametrize(
    ("ours", "theirs"),
    [(lambda: bleu("de"), BLEU), (chrf, CHRF), (lambda: ter("de"), TER)],
    ids=["bleu", "chrf", "ter"],
)


@METRICS
def test_scores_and_intervals_equal_sacrebleus(segments, ours, theirs, monkeypatch):
    monkeypatch.setenv("SACREBLEU_SEED", "7")
    oracle = theirs()
    expected = oracle.corpus_score(segments.hypotheses, [segments.references], n_bootstrap=200)
    counted = CountedMetric(ours(), segments.hypotheses, segments.references)
    low, high = counted.interval(200, 7)
    assert counted.score() == pytest.approx(expected.score)
    assert (high - low) / 2 == pytest.approx(expected._ci, abs=1e-4)  # sacreBLEU sums in single precision
    assert low < counted.score() < high
    assert counted.signature() == str(oracle.get_signature())


@METRICS
def test_a_subset_scores_like_a_test_set_of_its_own(segments, ours, theirs):
    rows = np.array([3, 5, 8, 90])
    counted = CountedMetric(ours(), segments.hypotheses, segments.references)
    part = [[texts[i] for i in rows] for texts in (segments.hypotheses, segments.references)]
    assert counted.score(rows) == pytest.approx(theirs().corpus_score(part[0], [part[1]]).score)


def test_single_segments_score_like_sentence_scores(segments):
    each = CountedMetric(chrf(), segments.hypotheses, segments.references).segment_scores()
    for index, score in enumerate(each):
        expected = CHRF().sentence_score(segments.hypotheses[index], [segments.references[index]]).score
        assert score == pytest.approx(expected)


def test_intervals_are_determined_by_the_seed(segments):
    def interval(seed):
        return CountedMetric(bleu("de"), segments.hypotheses, segments.references).interval(100, seed)

    assert interval(1) == interval(1) != interval(2)


def test_lengths_equal_bleus_own(segments):
    expected = BLEU().corpus_score(segments.hypotheses, [segments.references])
    counted = CountedMetric(bleu("de"), segments.hypotheses, segments.references)
    assert counted.lengths() == (expected.sys_len, expected.ref_len)


@pytest.mark.parametrize(
    ("language", "tokenizer"),
    [("de", "13a"), ("ko", "13a"), ("zh", "zh"), ("zh_Hant", "zh"), ("zh-CN", "zh"), ("th", "char")],
)
def test_the_signature_names_the_languages_tokenizer(language, tokenizer):
    assert f"tok:{tokenizer}|" in CountedMetric(bleu(language), ["x"], ["x"]).signature()


def test_without_a_dictionary_japanese_is_split_into_characters(monkeypatch):
    monkeypatch.setattr("seqloom.evaluation.metrics.find_spec", lambda name: None)
    assert "tok:char|" in CountedMetric(bleu("ja"), ["x"], ["x"]).signature()


def test_languages_without_spaces_are_scored_by_characters():
    hypothesis, reference = ["我今天去学校上课。"], ["我昨天去学校上课。"]
    assert corpus_bleu(hypothesis, reference, "zh") > 40 > corpus_bleu(hypothesis, reference, "de")
    counted = CountedMetric(ter("zh"), hypothesis, reference)
    assert counted.score() == pytest.approx(100 / 9)  # one character of nine
    assert "asian:yes" in counted.signature()


def test_counts_of_two_test_sets_can_be_joined(segments):
    halves = [segments.hypotheses[:50], segments.hypotheses[50:]], [segments.references[:50], segments.references[50:]]
    first, second = (CountedMetric(bleu("de"), *texts) for texts in zip(*halves, strict=True))
    whole = CountedMetric(bleu("de"), segments.hypotheses, segments.references)
    joined = first.with_segments_of([second])
    assert joined.score() == whole.score()
    assert joined.segment_scores() == whole.segment_scores()
    assert first.score() == CountedMetric(bleu("de"), halves[0][0], halves[1][0]).score()  # it is unchanged
