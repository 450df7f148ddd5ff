import random

import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.significance import PairedTest

from seqloom.evaluation.segments import Segments
from seqloom.evaluation.settings import EvaluateSettings
from seqloom.evaluation.significance import compare
from seqloom.languages import Direction

SETTINGS = EvaluateSettings(bootstrap=300, seed=12345, length_buckets=[5], examples=1)
WORDS = ["the", "light", "in", "kitchen", "is", "on", "turn", "off", "door", "window", "open", "please", "now", "never"]


def noisy(references: list[str], share: float, seed: int) -> list[str]:
    """Return the references with this share of their words replaced."""
    draw = random.Random(seed)
    return [
        " ".join(draw.choice(WORDS) if draw.random() < share else word for word in text.split()) for text in references
    ]


def systems(shares: tuple[float, float], *, directions: int = 1) -> tuple[Segments, Segments]:
    draw = random.Random(5)
    references = [" ".join(draw.choices(WORDS, k=draw.randint(4, 12))) for _ in range(120)]
    ways = [Direction("en", ("de", "fr")[row % directions]) for row in range(len(references))]
    sides = (Segments(references, references, noisy(references, share, n), ways) for n, share in enumerate(shares))
    return tuple(sides)  # type: ignore[return-value]


@pytest.mark.parametrize("shares", [(0.2, 0.3), (0.3, 0.2), (0.25, 0.25), (0.3, 0.28)])
def test_p_equals_sacrebleus(shares: tuple[float, float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACREBLEU_SEED", str(SETTINGS.seed))
    ours, theirs = systems(shares)
    test = PairedTest(
        [("theirs", theirs.hypotheses), ("ours", ours.hypotheses)],
        {"bleu": BLEU(), "chrf": CHRF()},
        [ours.references],
        test_type="bs",
        n_samples=SETTINGS.bootstrap,
    )
    _, scores = test()
    found = compare(ours, theirs, ("bleu", "chrf"), SETTINGS)
    for name, title in (("bleu", "BLEU"), ("chrf", "chrF2")):
        before, after = scores[title]
        assert found[name].theirs == pytest.approx(before.score)
        assert found[name].ours == pytest.approx(after.score)
        # sacreBLEU uses single precision, so ties may be counted differently
        assert found[name].p == pytest.approx(after.p_value, abs=2 / SETTINGS.bootstrap)


def test_a_clear_gain_is_significant_and_a_tie_is_not() -> None:
    better = compare(*systems((0.1, 0.5)), ("bleu",), SETTINGS)["bleu"]
    assert better.gain > 10
    assert 0 < better.low < better.gain < better.high
    assert better.p < 0.01
    same, _ = systems((0.2, 0.2))
    tie = compare(same, same, ("bleu",), SETTINGS)["bleu"]
    assert (tie.gain, tie.low, tie.high) == (0, 0, 0)
    assert tie.p > 0.05


def test_directions_have_equal_weight() -> None:
    ours, theirs = systems((0.2, 0.4), directions=2)
    found = compare(ours, theirs, ("chrf",), SETTINGS)["chrf"]
    each = []
    for rows in ours.rows().values():
        parts = [Segments(*([side[row] for row in rows] for side in system[:4])) for system in (ours, theirs)]  # type: ignore[arg-type]
        each.append(compare(*parts, ("chrf",), SETTINGS)["chrf"])
    assert found.gain == pytest.approx((each[0].gain + each[1].gain) / 2)


def test_different_test_sets_are_an_error() -> None:
    ours, theirs = systems((0.2, 0.3))
    with pytest.raises(ValueError, match="must have the same test set"):
        compare(ours, theirs._replace(references=theirs.sources[::-1]), ("bleu",), SETTINGS)
