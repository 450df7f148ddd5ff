import random
from functools import cache
from typing import Any

import pytest

from seqloom.evaluation.scores import DirectionScores, LengthScore, Score
from seqloom.evaluation.scoring import score
from seqloom.evaluation.segments import Placeholders, Segments
from seqloom.evaluation.settings import METRICS
from seqloom.evaluation.significance import Difference
from seqloom.gate import rules
from seqloom.gate.performance import Performance
from seqloom.gate.report import markdown
from seqloom.gate.rules import Rule, Verdict, empty_rule, explain_rule, export_rule, judge
from seqloom.gate.settings import GateSettings
from seqloom.languages import Direction
from tests.records import PARAMS, evaluate_settings, tree

EVALUATE = evaluate_settings(bootstrap=200, length_buckets=[6])
WORDS = ["the", "light", "in", "kitchen", "is", "on", "turn", "off", "door", "window", "open", "please", "now", "never"]
SIZE = 1_000_000


def gate(**changes: Any) -> GateSettings:
    return GateSettings.model_validate(tree()["gate"] | {"min_bucket_segments": 20} | changes)


def performance(wrong: float | dict[str, float], seed: int = 0, size: int = SIZE, lose: int = 0) -> Performance:
    """Return a version's measurements with a share of `wrong` words, and `lose` segments without their placeholder."""
    shares = tuple(wrong.items()) if isinstance(wrong, dict) else wrong
    return _performance(shares, seed, lose)._replace(size=size)


@cache
def _performance(shares: float | tuple[tuple[str, float], ...], seed: int, lose: int) -> Performance:
    wrong = dict(shares) if isinstance(shares, tuple) else shares
    draw = random.Random(3)
    sources = [" ".join(draw.choices(WORDS, k=draw.randint(4, 9))) for _ in range(200)]
    sources = [f"{text} {{name}}" if row < 20 else text for row, text in enumerate(sources)]
    ways = [Direction("en", "de") if row % 2 else Direction("en", "fr") for row in range(200)]
    if isinstance(wrong, float):
        ways = [Direction("en", "de")] * 200
    noise = random.Random(seed)
    hypotheses = []
    for row, (text, way) in enumerate(zip(sources, ways, strict=True)):
        share = wrong if isinstance(wrong, float) else wrong[way.target]
        words = [noise.choice(WORDS) if noise.random() < share and word in WORDS else word for word in text.split()]
        hypotheses.append(" ".join(words[:-1] if row < lose else words))
    segments = Segments(sources, sources, hypotheses, ways)
    return Performance(segments, score(segments, task="translation", settings=EVALUATE), SIZE)


def verdict(
    challenger: Performance, champion: Performance, speed: tuple[float, float] = (9, 9), **bounds: Any
) -> Verdict:
    return judge(challenger, champion, speed, gate(**bounds), EVALUATE)


def failed(found: Verdict) -> list[str]:
    return [rule.name for rule in found.rules if not rule.ok]


def test_a_clearly_better_version_is_promoted() -> None:
    found = verdict(performance(0.1), performance(0.4))
    assert found.promoted
    assert failed(found) == []
    assert found.reason.startswith("BLEU ")
    assert "better at p < 0.05" in found.reason
    page = markdown("seqloom-en-de version 2", found)
    assert page.startswith("# seqloom-en-de version 2: promoted\n")
    assert page.count("\n| ") == len(found.rules) + 1


def test_an_equal_version_is_not_promoted() -> None:
    same = performance(0.3)
    found = verdict(same, same)
    assert not found.promoted
    assert failed(found) == ["BLEU"]
    assert found.rules[0].p == 1


def test_a_version_that_is_better_by_chance_is_rarely_promoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS, "translation", ("bleu", "chrf"))  # TER takes most of the time, and decides nothing
    equal = [performance(0.3, seed) for seed in range(100, 124)]
    pairs = [*zip(equal[::2], equal[1::2], strict=True), *zip(equal[1::2], equal[::2], strict=True)]
    better = [verdict(*pair).rules[0] for pair in pairs]
    assert sum(rule.challenger > (rule.champion or 0) for rule in better) == 12
    assert sum(rule.ok for rule in better) <= 3  # the test is wrong about once in twenty times


@pytest.mark.parametrize(
    ("challenger", "bounds", "rule"),
    [
        ({"lose": 5}, {}, "placeholder accuracy"),
        ({"size": 3 * SIZE}, {}, "MB"),
        ({"speed": (3, 9)}, {}, "segments/s"),
    ],
)
def test_a_better_version_must_pass_the_other_rules_too(
    challenger: dict[str, Any], bounds: dict[str, Any], rule: str
) -> None:
    speed = challenger.pop("speed", (9, 9))
    champion = performance(0.5)
    found = verdict(performance(0.1, **challenger), champion, speed, **bounds)
    assert failed(found) == [rule]
    assert not found.promoted
    assert "(required: " in found.reason
    switch = {"placeholder accuracy": "max_placeholder_drop", "MB": "max_growth", "segments/s": "max_slowdown"}[rule]
    assert verdict(performance(0.1, **challenger), champion, speed, **{switch: None}).promoted


def test_a_worse_direction_is_not_offset_by_a_better_one() -> None:
    champion = performance({"de": 0.5, "fr": 0.2})
    challenger = performance({"de": 0.05, "fr": 0.4})
    found = verdict(challenger, champion, max_bucket_drop=None)
    assert failed(found) == ["BLEU of en-fr"]
    assert verdict(challenger, champion, max_bucket_drop=None, max_direction_drop=90).promoted


def test_a_worse_length_bucket_is_not_offset_by_a_better_one() -> None:
    champion, better = performance(0.4), performance(0.05)
    long = [row for row, text in enumerate(champion.segments.sources) if len(text.split()) > 6]
    texts = [
        text[::-1] if row in long[:40] else text for row, text in enumerate(better.segments.hypotheses)
    ]  # fmt: skip
    segments = better.segments._replace(hypotheses=texts)
    worse = Performance(segments, score(segments, task="translation", settings=EVALUATE), SIZE)
    judged = {rule.name: rule for rule in verdict(worse, champion, max_bucket_drop=0).rules}
    assert judged["BLEU of 1-6 words"].ok
    assert judged["BLEU of 7+ words"].ok == (
        worse.scores.by_length[1].scores["bleu"] >= champion.scores.by_length[1].scores["bleu"]
    )
    names = [rule.name for rule in verdict(worse, champion, min_bucket_segments=500).rules]
    assert "BLEU of 1-6 words" not in names  # both buckets are too small


def test_empty_translations_are_counted() -> None:
    champion, better = performance(0.5), performance(0.05)
    texts = ["" if row < 10 else text for row, text in enumerate(better.segments.hypotheses)]
    segments = better.segments._replace(hypotheses=texts)
    silent = Performance(segments, score(segments, task="translation", settings=EVALUATE), SIZE)
    assert "empty share" in failed(verdict(silent, champion))


def test_what_an_export_may_lose_is_bounded() -> None:
    settings = GateSettings(p=0.05)
    kept = export_rule("bleu", 29.0, 29.9, None, settings)
    lost = export_rule("bleu", 28.8, 29.9, 0.049, settings)
    by_chance = export_rule("bleu", 28.8, 29.9, 0.05, settings)
    assert (kept.ok, lost.ok, by_chance.ok) == (True, False, True)
    assert explain_rule(kept) == "BLEU of the export 29 (at most 1 below 29.9 of torch)"
    assert explain_rule(lost) == "BLEU of the export 28.8, p = 0.049 (required: at most 1 below 29.9 of torch)"
    assert explain_rule(by_chance) == (
        "BLEU of the export 28.8, p = 0.050 (not at most 1 below 29.9 of torch, but the loss is not significant)"
    )


def test_the_bounds_of_the_settings_apply() -> None:
    assert PARAMS.is_file()
    strict = verdict(performance(0.25, seed=1), performance(0.3), p=1e-9)
    assert not strict.promoted
    assert strict.rules[0].bound == "better at p < 1e-09"


# The bounds themselves, on records made by hand.


@cache
def measured(*hypotheses: str) -> Performance:
    """Return the measurements of a version that wrote these translations of "a b c d"."""
    texts = ["a b c d"] * len(hypotheses)
    segments = Segments(texts, texts, hypotheses, [Direction("en", "de")] * len(texts))
    return Performance(segments, score(segments, task="translation", settings=EVALUATE), SIZE)


GOOD, BAD = ("a b c d",) * 4, ("x y z",) * 4


def changed(version: Performance, **scores: Any) -> Performance:
    return version._replace(scores=version.scores._replace(**scores))


def rule(name: str, ours: Performance, theirs: Performance, speed: tuple[float, float] = (9, 9), **bounds: Any) -> Rule:
    (found,) = [each for each in verdict(ours, theirs, speed, **bounds).rules if each.name == name]
    return found


def names(ours: Performance, theirs: Performance, **bounds: Any) -> list[str]:
    return [each.name for each in verdict(ours, theirs, **bounds).rules]


def test_the_leading_score_must_be_higher_with_a_p_below_the_bound() -> None:
    found = rule("BLEU", measured(*GOOD), measured(*BAD))
    assert found.p is not None
    assert (found.challenger, found.champion) == (pytest.approx(100), 0)
    assert not rule("BLEU", measured(*GOOD), measured(*BAD), p=found.p).ok
    assert rule("BLEU", measured(*GOOD), measured(*BAD), p=found.p * 1.001).ok
    assert not rule("BLEU", measured(*BAD), measured(*GOOD)).ok  # significantly worse
    assert not rule("BLEU", measured(*GOOD), measured(*GOOD), p=0.999).ok


@pytest.mark.parametrize(("ours", "better"), [(30.5, True), (30.0, False), (29.5, False)])
def test_any_significant_gain_counts_and_no_loss(monkeypatch: pytest.MonkeyPatch, ours: float, better: bool) -> None:
    found = Difference(ours, 30.0, 0.0, 0.0, 0.01)
    monkeypatch.setattr(rules, "compare", lambda *_: {"bleu": found, "chrf": found})
    assert rule("BLEU", measured(*GOOD), measured(*GOOD)).ok == better


def test_chrf_may_fall_by_its_bound_and_no_more() -> None:
    worse, better = measured(*GOOD[:2], *BAD[:2]), measured(*GOOD)
    fall = rule("chrF", worse, better, max_chrf_drop=0)
    assert fall.champion is not None
    assert (fall.ok, fall.bound) == (False, "not worse")
    drop = fall.champion - fall.challenger
    assert rule("chrF", worse, better, max_chrf_drop=drop).ok
    assert not rule("chrF", worse, better, max_chrf_drop=drop * 0.99).ok
    assert rule("chrF", better, better, max_chrf_drop=0).ok
    assert rule("chrF", worse, better, max_chrf_drop=2).bound == "falls by at most 2"
    assert "chrF" not in names(worse, better, max_chrf_drop=None)


def test_placeholders_are_compared_if_both_test_sets_have_some() -> None:
    def kept(accuracy: float | None) -> Performance:
        return changed(measured(*GOOD), placeholders=Placeholders(4, accuracy, 0, []))

    name = "placeholder accuracy"
    assert rule(name, kept(0.75), kept(0.75), max_placeholder_drop=0).ok
    assert rule(name, kept(0.5), kept(0.75), max_placeholder_drop=0.25).ok
    assert not rule(name, kept(0.25), kept(0.75), max_placeholder_drop=0.25).ok
    none = changed(measured(*GOOD), placeholders=None)
    for ours, theirs in [(none, kept(1.0)), (kept(1.0), none), (kept(None), kept(1.0)), (kept(1.0), kept(None))]:
        assert name not in names(ours, theirs)
    assert name not in names(kept(0.0), kept(1.0), max_placeholder_drop=None)


def test_each_of_several_directions_may_lose_its_bound_and_no_more() -> None:
    def translating(**points: float) -> Performance:
        directions = {
            Direction("en", target): DirectionScores(9, {"bleu": Score(value, value, value, "")})
            for target, value in points.items()
        }
        return changed(measured(*GOOD), directions=directions)

    ours, theirs = translating(de=30.0, fr=40.0), translating(fr=39.0, de=31.0)  # in another order
    found = {each.name: each for each in verdict(ours, theirs, max_direction_drop=1).rules}
    assert found["BLEU of en-de"] == Rule("BLEU of en-de", True, 30.0, 31.0, "falls by at most 1")
    assert found["BLEU of en-fr"].ok
    assert not rule("BLEU of en-de", ours, theirs, max_direction_drop=0.75).ok
    assert "BLEU of en-de" not in names(ours, theirs, max_direction_drop=None)
    assert "BLEU of en-de" not in names(translating(de=30.0), translating(de=31.0))


def test_a_length_bucket_counts_from_the_least_number_of_segments() -> None:
    def scored(points: float, segments: int) -> Performance:
        return changed(measured(*GOOD), by_length=[LengthScore("1-6", segments, {"bleu": points})])

    name = "BLEU of 1-6 words"
    assert rule(name, scored(27, 100), scored(30, 100), max_bucket_drop=3, min_bucket_segments=100).ok
    assert not rule(name, scored(26, 100), scored(30, 100), max_bucket_drop=3, min_bucket_segments=100).ok
    assert name not in names(scored(26, 99), scored(30, 99), min_bucket_segments=100)
    assert name not in names(scored(26, 101), scored(30, 101), min_bucket_segments=100, max_bucket_drop=None)


def test_translations_of_spaces_are_empty_and_the_largest_share_is_allowed() -> None:
    wrote = ["", " \t", "x", "y"]
    assert empty_rule(wrote, gate(max_empty=0.5)) == Rule("empty share", True, 0.5, None, "at most 0.5")
    assert not empty_rule(wrote, gate(max_empty=0.49)).ok
    assert empty_rule(["x"], gate(max_empty=0)).ok


def test_speed_and_size_may_reach_their_bounds() -> None:
    good = measured(*GOOD)
    slow = rule("segments/s", good, good, (6, 9), max_slowdown=1.5)
    assert slow == Rule("segments/s", True, 6, 9, "at most 1.5 times slower")
    assert not rule("segments/s", good, good, (5.9, 9), max_slowdown=1.5).ok
    large = rule("MB", good._replace(size=4_000_000), good._replace(size=2_000_000), max_growth=2)
    assert large == Rule("MB", True, 4.0, 2.0, "at most 2 times larger")
    assert not rule("MB", good._replace(size=4_000_001), good._replace(size=2_000_000), max_growth=2).ok
    assert {"segments/s", "MB"}.isdisjoint(names(good, good, max_slowdown=None, max_growth=None))


def test_the_reason_is_the_leading_rule_or_every_failed_one() -> None:
    promoted = verdict(measured(*GOOD), measured(*BAD))
    assert promoted.promoted
    assert promoted.reason == explain_rule(promoted.rules[0])
    refused = verdict(measured(*GOOD), measured(*BAD)._replace(size=SIZE // 4), (1, 9))
    assert not refused.promoted
    assert refused.reason == (
        "segments/s 1 against 9 (required: at most 1.5 times slower); "
        "MB 1 against 0.25 (required: at most 2 times larger)"
    )
    assert refused.record() == {
        "promoted": False, "reason": refused.reason, "rules": [each._asdict() for each in refused.rules],
    }  # fmt: skip


def test_a_rule_is_explained_with_what_it_has() -> None:
    assert explain_rule(Rule("BLEU", True, 31.25, 30, "better", 0.0126)) == "BLEU 31.25 against 30, p = 0.013 (better)"
    assert (
        explain_rule(Rule("empty share", False, 0.5, None, "at most 0.1")) == "empty share 0.5 (required: at most 0.1)"
    )
