import hashlib
import json
import math

import pytest
from sacrebleu.metrics import BLEU, CHRF

from seqloom.errors import EvaluationError
from seqloom.evaluation.scores import ranked, score


def scored(hypotheses, references, sources, settings, **more):
    return score(hypotheses, references, sources, language="de", settings=settings, **more)


def test_a_perfect_translation(settings):
    texts = ["the light is on now", "the switch is off again today"]
    found = scored(texts, texts, ["x y z", "u v w"], settings)
    assert found.bleu[:3] == (100, 100, 100)
    assert found.chrf[:3] == (100, 100, 100)
    assert found.ter[:3] == (0, 0, 0)
    assert found.brevity_penalty == 1
    assert found.copy_bleu == 0
    assert found.warnings() == []


def test_baseline_is_the_source_as_if_it_were_the_translation(segments, settings):
    found = scored(segments.hypotheses, segments.references, segments.sources, settings)
    for ours, metric in ((found.copy_bleu, BLEU()), (found.copy_chrf, CHRF())):
        assert ours == pytest.approx(metric.corpus_score(segments.sources, [segments.references]).score, abs=1e-4)


def test_short_translations_pay_the_brevity_penalty(settings):
    found = scored(["a b c d e"], ["a b c d e f g h i j"], ["s"], settings)
    assert (found.hypothesis_tokens, found.reference_tokens) == (5, 10)
    assert found.brevity_penalty == pytest.approx(math.exp(1 - 10 / 5), abs=1e-4)


def test_placeholders_survive_when_each_is_there_often_enough(settings):
    sources = ["{a} and {a}", "{a} and %s", "no such thing", "<b>bold</b>", "%s"]
    hypotheses = ["{a} und {a}", "%s und {a} {a}", "{b} ist neu", "<b>fett", "nichts"]
    found = scored(hypotheses, ["r"] * 5, sources, settings).placeholders
    assert found.segments == 4
    assert found.accuracy == 0.5
    assert found.failures == [3, 4]
    assert found.invented == 1


def test_one_of_two_equal_placeholders_is_lost(settings):
    assert scored(["{a} da"], ["r"], ["{a} and {a}"], settings).placeholders.failures == [0]


def test_without_placeholders_there_is_no_accuracy(settings):
    found = scored(["x"], ["x"], ["y"], settings)
    assert found.placeholders.accuracy is None
    assert json.loads(json.dumps(found.metrics()))["placeholder_accuracy"] is None


def test_every_segment_is_in_one_bucket_of_its_source_length(segments, settings):
    found = scored(segments.hypotheses, segments.references, segments.sources, settings)
    words = [len(source.split()) for source in segments.sources]
    expected = {"1-3": [n <= 3 for n in words], "4-6": [4 <= n <= 6 for n in words], "7+": [n >= 7 for n in words]}
    assert [bucket.words for bucket in found.by_length] == list(expected)
    for bucket in found.by_length:
        chosen = [i for i, inside in enumerate(expected[bucket.words]) if inside]
        assert bucket.segments == len(chosen)
        hypotheses, references = [[texts[i] for i in chosen] for texts in (segments.hypotheses, segments.references)]
        assert bucket.bleu == pytest.approx(BLEU().corpus_score(hypotheses, [references]).score, abs=1e-4)
        assert bucket.chrf == pytest.approx(CHRF().corpus_score(hypotheses, [references]).score, abs=1e-4)


def test_buckets_may_be_given_in_any_order_and_empty_ones_are_left_out(settings):
    odd = settings.model_copy(update={"length_buckets": [6, 1, 2, 6]})
    found = scored(["x"] * 3, ["x"] * 3, ["a", "a b c", "a b c d e f g h"], odd)
    assert [(bucket.words, bucket.segments) for bucket in found.by_length] == [("1", 1), ("3-6", 1), ("7+", 1)]
    whole = settings.model_copy(update={"length_buckets": []})
    assert [bucket.words for bucket in scored(["x"], ["x"], ["a"], whole).by_length] == ["1+"]


def test_empty_translations_are_scored_and_warned_of(settings):
    some = scored(["", "b"], ["a", "b"], ["s", "t"], settings)
    assert any("1 of 2 segments" in warning for warning in some.warnings())
    every = scored(["", " "], ["a", "b"], ["s", "t"], settings)
    assert (every.bleu.score, every.chrf.score, every.ter.score) == (0, 0, 100)
    assert every.brevity_penalty == 0
    assert any("every segment" in warning for warning in every.warnings())


def test_no_better_than_copying_is_warned_of(settings):
    found = scored(["x y z a b"], ["the light is on now"], ["the light is on now"], settings)
    assert found.warnings() == ["The model scores no higher than copying the source does."]


def test_the_test_set_is_named_by_its_texts_alone(segments, settings):
    def digest(hypotheses, references=segments.references):
        return scored(hypotheses, references, segments.sources, settings).test_sha256

    lines = "".join(f"{s}\t{r}\n" for s, r in zip(segments.sources, segments.references, strict=True))
    assert digest(segments.hypotheses) == hashlib.sha256(lines.encode()).hexdigest() == digest(segments.references)
    assert digest(segments.hypotheses, segments.references[::-1]) != digest(segments.hypotheses)


def test_ranking(settings):
    sources = ["aa", "bbbb", "c", "ddd", "e"]
    found = scored(["x", "same", "same", "sane", "same"], ["same"] * 5, sources, settings)
    assert ranked(found, sources, 2) == {"best": [1, 2], "median": [2, 4], "worst": [0, 3]}
    assert {len(indices) for indices in ranked(found, sources, 99).values()} == {5}


def test_metrics_are_plain_and_repeat(segments, settings):
    first, second = (
        scored(segments.hypotheses, segments.references, segments.sources, settings).metrics() for _ in range(2)
    )
    assert json.dumps(first) == json.dumps(second)
    assert first["bleu"]["low"] <= first["bleu"]["score"] <= first["bleu"]["high"]
    assert "seed:7" in first["bleu"]["signature"]


def test_progress_ends_with_the_scores(segments, settings):
    heard = []
    scored(segments.hypotheses, segments.references, segments.sources, settings, listen=heard.append)
    assert heard[-1].done == heard[-1].total
    assert "BLEU" in heard[-1].note


def test_nothing_to_score(settings):
    with pytest.raises(EvaluationError, match="the test split is empty"):
        scored([], [], [], settings)
    with pytest.raises(ValueError, match="1 hypotheses, 2 references"):
        scored(["a"], ["a", "b"], ["a", "b"], settings)
