import hashlib
import json
import math

import pytest
from sacrebleu.metrics import BLEU, CHRF

from seqloom.errors import EvaluationError
from seqloom.evaluation.metrics import CountedMetric, bleu
from seqloom.evaluation.scores import ranked
from seqloom.evaluation.scoring import score
from seqloom.evaluation.segments import Segments
from seqloom.languages import Direction

EN_DE = Direction("en", "de")


def scored(hypotheses, references, sources, settings, *, task="translation", direction=EN_DE, **more):
    segments = Segments(sources, references, hypotheses, [direction] * len(sources))
    return score(segments, task=task, settings=settings, **more)


def test_a_perfect_translation_has_perfect_scores(settings):
    texts = ["the light is on now", "the switch is off again today"]
    found = scored(texts, texts, ["x y z", "u v w"], settings)
    assert found.scores["bleu"][:3] == (100, 100, 100)
    assert found.scores["chrf"][:3] == (100, 100, 100)
    assert found.scores["ter"][:3] == (0, 0, 0)
    assert found.brevity_penalty == 1
    assert found.baseline["bleu"] == 0
    assert found.warnings() == []


def test_the_baseline_scores_the_source_as_the_translation(segments, settings):
    found = scored(segments.hypotheses, segments.references, segments.sources, settings)
    for ours, metric in ((found.baseline["bleu"], BLEU()), (found.baseline["chrf"], CHRF())):
        assert ours == pytest.approx(metric.corpus_score(segments.sources, [segments.references]).score, abs=1e-4)


def test_short_translations_get_the_brevity_penalty(settings):
    found = scored(["a b c d e"], ["a b c d e f g h i j"], ["s"], settings)
    assert (found.hypothesis_tokens, found.reference_tokens) == (5, 10)
    assert found.brevity_penalty == pytest.approx(math.exp(1 - 10 / 5), abs=1e-4)


def test_placeholders_are_kept_if_each_occurs_often_enough(settings):
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


def test_every_segment_is_in_the_bucket_of_its_source_length(segments, settings):
    found = scored(segments.hypotheses, segments.references, segments.sources, settings)
    words = [len(source.split()) for source in segments.sources]
    expected = {"1-3": [n <= 3 for n in words], "4-6": [4 <= n <= 6 for n in words], "7+": [n >= 7 for n in words]}
    assert [bucket.words for bucket in found.by_length] == list(expected)
    for bucket in found.by_length:
        chosen = [i for i, inside in enumerate(expected[bucket.words]) if inside]
        assert bucket.segments == len(chosen)
        hypotheses, references = [[texts[i] for i in chosen] for texts in (segments.hypotheses, segments.references)]
        assert bucket.scores["bleu"] == pytest.approx(BLEU().corpus_score(hypotheses, [references]).score, abs=1e-4)
        assert bucket.scores["chrf"] == pytest.approx(CHRF().corpus_score(hypotheses, [references]).score, abs=1e-4)


def test_buckets_may_be_in_any_order_and_empty_ones_are_omitted(settings):
    odd = settings.model_copy(update={"length_buckets": [6, 1, 2, 6]})
    found = scored(["x"] * 3, ["x"] * 3, ["a", "a b c", "a b c d e f g h"], odd)
    assert [(bucket.words, bucket.segments) for bucket in found.by_length] == [("1", 1), ("3-6", 1), ("7+", 1)]
    whole = settings.model_copy(update={"length_buckets": []})
    assert [bucket.words for bucket in scored(["x"], ["x"], ["a"], whole).by_length] == ["1+"]


def test_empty_translations_are_scored_and_cause_a_warning(settings):
    some = scored(["", "b"], ["a", "b"], ["s", "t"], settings)
    assert any("1 of 2 segments" in warning for warning in some.warnings())
    every = scored(["", " "], ["a", "b"], ["s", "t"], settings)
    assert [each.score for each in every.scores.values()] == [0, 0, 100]
    assert every.brevity_penalty == 0
    assert any("every segment" in warning for warning in every.warnings())


def test_a_score_no_better_than_copying_causes_a_warning(settings):
    found = scored(["x y z a b"], ["the light is on now"], ["the light is on now"], settings)
    assert found.warnings() == ["The model scores no higher than copying the source does."]


def test_the_hash_of_the_test_set_depends_only_on_sources_and_references(segments, settings):
    def digest(hypotheses, references=segments.references):
        return scored(hypotheses, references, segments.sources, settings).test_sha256

    lines = "".join(f"{s}\t{r}\n" for s, r in zip(segments.sources, segments.references, strict=True))
    assert digest(segments.hypotheses) == hashlib.sha256(lines.encode()).hexdigest() == digest(segments.references)
    assert digest(segments.hypotheses, segments.references[::-1]) != digest(segments.hypotheses)


def test_segments_are_ranked_by_chrf(settings):
    sources = ["aa", "bbbb", "c", "ddd", "e"]
    found = scored(["x", "same", "same", "sane", "same"], ["same"] * 5, sources, settings)
    assert ranked(found, sources, 2) == {"best": [1, 2], "median": [2, 4], "worst": [0, 3]}
    assert {len(indices) for indices in ranked(found, sources, 99).values()} == {5}


def test_metrics_are_plain_data_and_reproducible(segments, settings):
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


def test_an_empty_or_incomplete_test_set_is_an_error(settings):
    with pytest.raises(EvaluationError, match="the test split is empty"):
        scored([], [], [], settings)
    with pytest.raises(ValueError, match="2 sources, 2 references, 1 hypotheses"):
        scored(["a"], ["a", "b"], ["a", "b"], settings)


# --- tasks


@pytest.mark.parametrize("task", ["summarization", "generation"])
def test_other_tasks_lead_with_rouge_and_have_no_ter(segments, settings, task):
    found = scored(
        segments.hypotheses, segments.references, segments.sources, settings, task=task, direction=Direction("en", "en")
    )
    assert list(found.scores) == ["rouge1", "rouge2", "rougeL", "bleu", "chrf"]
    assert (found.leading, found.leader) == ("rougeL", found.scores["rougeL"])
    metrics = json.loads(json.dumps(found.metrics()))
    assert metrics["leading"] == "rougeL"
    assert metrics["rougeL"].keys() == {"score", "low", "high", "signature"}
    assert metrics["rougeL"]["low"] < metrics["rougeL"]["score"] < metrics["rougeL"]["high"]
    assert not {name for name in metrics if name.startswith("placeholder")} | {"ter"} & metrics.keys()
    assert list(metrics["baselines"]) == [f"lead_{name}" for name in found.scores]
    assert metrics["by_length"][0].keys() == {"words", "segments", "rougeL", "bleu", "chrf"}


def test_translation_leads_with_bleu(segments, settings):
    metrics = scored(segments.hypotheses, segments.references, segments.sources, settings).metrics()
    assert metrics["leading"] == "bleu"
    assert not any(name.startswith("rouge") for name in metrics)
    assert "by_direction" not in metrics


def test_the_baseline_of_a_summary_is_the_beginning_of_its_text(settings):
    sources = ["one two three four five six seven eight", "abcdefghijklmnopqrst", "short"]
    references = ["one two three", "abcdefghij", "x" * 17]  # ten characters on average
    found = scored(["no"] * 3, references, sources, settings, task="summarization", direction=Direction("en", "en"))
    expected = CountedMetric(bleu("en"), ["one two", "abcdefghij", "short"], references).score()
    assert found.baseline["bleu"] == pytest.approx(expected, abs=1e-4)
    assert found.warnings() == ["The model scores no higher than the beginning of the source does."]


# --- several directions

EN_ZH, ZH_EN = Direction("en", "zh"), Direction("zh", "en")


@pytest.fixture
def mixed(segments):
    """Segments of three directions, mixed: 60, 40 and 20 of them."""
    directions = [(EN_DE, EN_ZH, EN_DE, ZH_EN, EN_DE, EN_ZH)[index % 6] for index in range(120)]
    return segments._replace(directions=directions)


def part(segments, direction):
    rows = [index for index, each in enumerate(segments.directions) if each == direction]
    return Segments(*([column[row] for row in rows] for column in segments[:4]))


@pytest.mark.parametrize("task", ["translation", "summarization"])
def test_each_direction_is_scored_separately(mixed, settings, task):
    found = score(mixed, task=task, settings=settings)
    assert list(found.directions) == [EN_DE, EN_ZH, ZH_EN]
    for direction, each in found.directions.items():
        alone = score(part(mixed, direction), task=task, settings=settings)
        assert each == (alone.segments, alone.scores)
    assert "tok:zh|" in found.directions[EN_ZH].scores["bleu"].signature
    by_direction = json.loads(json.dumps(found.metrics()))["by_direction"]
    assert list(by_direction) == ["en-de", "en-zh", "zh-en"]
    assert by_direction["en-zh"]["segments"] == 40
    assert by_direction["en-zh"]["bleu"]["score"] == found.directions[EN_ZH].scores["bleu"].score


def test_a_score_over_directions_is_their_unweighted_mean(mixed, settings):
    found = score(mixed, task="translation", settings=settings)
    for name, each in found.scores.items():
        scores = [alone.scores[name] for alone in found.directions.values()]
        assert each.score == pytest.approx(sum(one.score for one in scores) / 3, abs=1e-3)
        assert each.signature.startswith("mean of 3 directions: ")
        widths = [one.high - one.low for one in scores]
        assert each.high - each.low < sum(widths) / 3  # a mean has a smaller interval than its parts
        assert each.low < each.score < each.high
    assert "en-zh nrefs:1" in found.scores["bleu"].signature
    assert found.scores["chrf"].signature.count("nrefs") == 1  # equal signatures are written once
    drawn = []
    for direction in found.directions:
        one = part(mixed, direction)
        drawn.append(CountedMetric(bleu(direction.target), one.hypotheses, one.references).resampled(100, 7))
    ordered = sorted(sum(scores) / 3 for scores in zip(*drawn, strict=True))
    assert found.scores["bleu"].low == pytest.approx(ordered[2], abs=1e-4)


def test_other_figures_are_over_all_segments_in_order(mixed, segments, settings):
    found = score(mixed, task="translation", settings=settings)
    alone = score(segments, task="translation", settings=settings)
    assert found.placeholders == alone.placeholders
    assert found.segment_chrf == alone.segment_chrf
    assert [bucket[:2] for bucket in found.by_length] == [bucket[:2] for bucket in alone.by_length]
    assert found.test_sha256 != alone.test_sha256
    means = [score(part(mixed, each), task="translation", settings=settings).baseline for each in found.directions]
    assert found.baseline["bleu"] == pytest.approx(sum(mean["bleu"] for mean in means) / 3, abs=1e-3)


def test_the_hash_of_the_test_set_includes_several_directions(mixed, settings):
    def digest(directions):
        return score(mixed._replace(directions=directions), task="translation", settings=settings).test_sha256

    assert digest(mixed.directions) == digest(mixed.directions)
    assert digest(mixed.directions) != digest(mixed.directions[::-1])
