from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from seqloom.corpus.splits import Pair
from seqloom.gate import overlap
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
    assert TrainingTexts.read(save({"sources": np.zeros(1, np.uint64)})) is None


def test_keys_that_differ_in_the_last_bit_are_different(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {"known": (1 << 63) + 1, "near": (1 << 63) + 2, "small": 1}
    monkeypatch.setattr(overlap, "key_of", lambda text, language: keys[text])
    texts = TrainingTexts.of([pair("known", "known")], WAYS)
    asked = [pair(text, "known") for text in keys]
    assert texts.holds(asked, WAYS, "source") == [True, False, False]  # a float would not hold all 64 bits
    assert texts.holds(asked, WAYS, "both") == [True, True, True]
