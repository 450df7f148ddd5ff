from pathlib import Path

from seqloom.corpus.splits import Pair
from seqloom.gate.overlap import TrainingTexts
from seqloom.languages import Direction

WAYS = [Direction("en", "de"), Direction("de", "en")]


def pair(source: str, target: str, direction: str = "en-de") -> Pair:
    return Pair(source, target, direction, "x", "")


def test_texts_match_even_if_numbers_or_placeholders_differ(tmp_path: Path) -> None:
    made = TrainingTexts.of([pair("Wait 5 minutes", "Warte 5 Minuten"), pair("Hello {name}", "Hallo {name}")], WAYS)
    made.save(tmp_path / "texts.safetensors")
    read = TrainingTexts.read((tmp_path / "texts.safetensors").read_bytes())
    assert read is not None
    asked = [
        pair("Wait 12 minutes", "Etwas anderes"),
        pair("Something else", "Hallo {you}"),
        pair("New", "Neu"),
        pair("Hallo {x}", "Hello", "de-en"),  # a target text of training as a source
        pair("Warte 5 Minuten", "Neu"),  # German, so not an English text of training
    ]
    assert read.holds(asked, WAYS, "source") == [True, False, False, True, False]
    assert read.holds(asked, WAYS, "both") == [True, True, False, True, False]


def test_keys_are_distinct_and_contain_no_text(tmp_path: Path) -> None:
    made = TrainingTexts.of([pair("secret words", "geheime Worte")] * 3, WAYS)
    assert [len(side) for side in made] == [1, 1]
    made.save(tmp_path / "texts")
    assert b"secret" not in (tmp_path / "texts").read_bytes()


def test_other_content_is_read_as_none() -> None:
    assert TrainingTexts.read(b"x") is None
    assert TrainingTexts.read(b"") is None
