from pathlib import Path

from seqloom.corpus.splits import Pair
from seqloom.gate.overlap import TrainingTexts
from seqloom.languages import Direction

WAYS = [Direction("en", "de"), Direction("de", "en")]


def pair(source: str, target: str, direction: str = "en-de") -> Pair:
    return Pair(source, target, direction, "x", "")


def test_texts_are_known_again_with_their_numbers_and_placeholders_masked(tmp_path: Path) -> None:
    made = TrainingTexts.of([pair("Wait 5 minutes", "Warte 5 Minuten"), pair("Hello {name}", "Hallo {name}")], WAYS)
    made.save(tmp_path / "texts.safetensors")
    read = TrainingTexts.read((tmp_path / "texts.safetensors").read_bytes())
    assert read is not None
    asked = [
        pair("Wait 12 minutes", "Etwas anderes"),
        pair("Something else", "Hallo {you}"),
        pair("New", "Neu"),
        pair("Hallo {x}", "Hello", "de-en"),  # a target of training is a source here
        pair("Warte 5 Minuten", "Neu"),  # which is no English text of training
    ]
    assert read.holds(asked, WAYS, "source") == [True, False, False, True, False]
    assert read.holds(asked, WAYS, "both") == [True, True, False, True, False]


def test_keys_hold_no_text_and_are_distinct(tmp_path: Path) -> None:
    made = TrainingTexts.of([pair("secret words", "geheime Worte")] * 3, WAYS)
    assert [len(side) for side in made] == [1, 1]
    made.save(tmp_path / "texts")
    assert b"secret" not in (tmp_path / "texts").read_bytes()


def test_another_file_is_not_taken_for_one() -> None:
    assert TrainingTexts.read(b"x") is None
    assert TrainingTexts.read(b"") is None
