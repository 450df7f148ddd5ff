import string
from collections.abc import Sequence
from pathlib import Path

import pytest

from seqloom import distillation
from seqloom.corpus.reading import RawPair
from seqloom.corpus.settings import PrepareSettings
from seqloom.corpus.splits import Pair, Split, SplitWriter, read_split
from seqloom.distillation import HELD_OUT, HeldOut, Taught, teach
from seqloom.languages import Direction
from seqloom.translation.results import Flag, Result
from tests.corpora import CorpusItem, prepare_items
from tests.records import prepare_settings

EN_DE = Direction("en", "de")
DIRECTIONS = {str(each): each for each in (EN_DE, Direction("en", "fr"))}
WORDS = [first + second for first in ("bel", "kor", "mun", "tas", "wif") for second in string.ascii_lowercase]


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


def test_validation_and_test_stay_the_same_when_the_pairs_are_added_to_the_corpora(tmp_path: Path) -> None:
    settings = prepare_settings(max_leakage=1.0)
    raw = [
        CorpusItem("ours", EN_DE, None, RawPair(f"The {word} opens", f"Die {word} geht auf", f"app {number % 30}"))
        for number, word in enumerate(WORDS)
    ]
    before = prepared(raw, settings, tmp_path / "before")
    held = [one.target for split in (Split.valid, Split.test) for one in before[split]]

    def translate(texts: Sequence[str], direction: Direction) -> list[Result]:
        """Return something else for each text, but a target of valid or test for every third one."""
        return [Result(f"Auf: {text}" if row % 3 else held[row % len(held)]) for row, text in enumerate(texts)]

    splits = [tmp_path / "before" / split.file_name for split in (Split.valid, Split.test)]
    taught = list(teach(before[Split.train], DIRECTIONS, translate, HeldOut(splits, DIRECTIONS)))
    added = [
        CorpusItem("distilled", EN_DE, Split.train, RawPair(one.source, one.target, ""))
        for one, left_out in taught
        if left_out is None
    ]
    after = prepared([*added, *raw], settings, tmp_path / "after")
    assert before[Split.valid] == after[Split.valid]
    assert before[Split.test] == after[Split.test]
    learnt = {one.source: one for one in after[Split.train]}
    assert set(learnt) == {one.source for one in before[Split.train]}
    assert len(added) == sum(row % 3 > 0 for row in range(len(taught))) > 50
    for one, left_out in taught:  # the original pair takes the place of a translation that is left out
        assert learnt[one.source].corpus == ("ours" if left_out else "distilled")
        assert learnt[one.source].target not in held


def prepared(items: list[CorpusItem], settings: PrepareSettings, folder: Path) -> dict[Split, list[Pair]]:
    prepare_items(items, [EN_DE], settings, folder)
    return {split: list(read_split(folder / split.file_name)) for split in Split}
