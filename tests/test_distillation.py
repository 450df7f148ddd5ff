from collections.abc import Sequence
from pathlib import Path

import pytest

from seqloom import distillation
from seqloom.corpus.splits import Pair, SplitWriter
from seqloom.distillation import HELD_OUT, HeldOut, Taught, teach
from seqloom.languages import Direction
from seqloom.translation.results import Flag, Result

DIRECTIONS = {str(each): each for each in (Direction("en", "de"), Direction("en", "fr"))}


def pair(source: str, target: str = "", direction: str = "en-de") -> Pair:
    return Pair(source, target, direction, "mine", "app")


def held_out(tmp_path: Path, *pairs: Pair) -> HeldOut:
    path = tmp_path / "test.tsv"
    with SplitWriter(path) as writer:
        for each in pairs:
            writer.write(each)
    return HeldOut([path], DIRECTIONS)


def upper(texts: Sequence[str], direction: Direction) -> list[Result]:
    return [Result(f"{text.upper()} {direction.target}") for text in texts]


def test_the_teachers_translation_takes_the_place_of_the_target(tmp_path: Path) -> None:
    found = list(teach([pair("turn on", "einschalten")], DIRECTIONS, upper, held_out(tmp_path)))
    assert found == [Taught(pair("turn on", "TURN ON de"), None)]


def test_every_direction_is_translated_at_once_and_the_order_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distillation, "CHUNK", 3)
    calls = []

    def translate(texts: Sequence[str], direction: Direction) -> list[Result]:
        calls.append((list(texts), direction.target))
        return upper(texts, direction)

    pairs = [pair("a"), pair("b", direction="en-fr"), pair("c"), pair("d")]
    found = [each.pair.target for each in teach(pairs, DIRECTIONS, translate, held_out(tmp_path))]
    assert found == ["A de", "B fr", "C de", "D de"]
    assert calls == [(["a", "c"], "de"), (["b"], "fr"), (["d"], "de")]


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ((), None),
        ((Flag.COPIED, Flag.SPLIT), None),
        ((Flag.LOOPED, Flag.CUT), "cut"),
        ((Flag.PLACEHOLDERS,), "placeholders"),
        ((Flag.COPIED, Flag.LOW_CONFIDENCE), "low_confidence"),
    ],
)
def test_a_flagged_translation_is_left_out(tmp_path: Path, flags: tuple[Flag, ...], reason: str | None) -> None:
    (found,) = teach([pair("a")], DIRECTIONS, lambda texts, _: [Result("A", flags)], held_out(tmp_path))
    assert found.left_out == reason


@pytest.mark.parametrize(
    ("source", "target", "direction", "reason"),
    [
        ("Set {name} to 5", "Neu", "en-de", HELD_OUT),  # a test source, with digits and placeholders masked
        ("Neu", "Setze {x} auf 17", "en-de", HELD_OUT),  # a test target
        ("Neu", "Setze {x} auf 17", "en-fr", None),  # the same text in another language
        ("Set it", "Setze es", "en-de", None),
    ],
)
def test_a_translation_that_is_in_valid_or_test_is_left_out(
    tmp_path: Path, source: str, target: str, direction: str, reason: str | None
) -> None:
    kept_apart = held_out(tmp_path, pair("Set {x} to 12", "Setze {x} auf 12"))
    (found,) = teach([pair(source, "", direction)], DIRECTIONS, lambda texts, _: [Result(target)], kept_apart)
    assert found.left_out == reason


def test_a_translation_is_written_on_one_line(tmp_path: Path) -> None:
    (found,) = teach([pair("a")], DIRECTIONS, lambda texts, _: [Result("<b\n\tid>A</b> ")], held_out(tmp_path))
    assert found.pair.target == "<b id>A</b>"
