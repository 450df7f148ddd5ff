import pytest

from seqloom.drift import features
from seqloom.drift.features import EDGES, Extractor, recogniser
from seqloom.languages import Direction
from seqloom.progress import ignore
from seqloom.tokenization.catalogue import train_tokenizer
from tests.records import tokenizer_settings

EN_DE = Direction("en", "de")
PAIRS = [("turn on the light in the kitchen", "schalte das licht in der küche ein"), ("hello {name}", "hallo {name}")]
LONG = "turn on the light in the kitchen then in the hotel"


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(tokenizer_settings(name="characters", vocab_size=96, slots=2), lambda: PAIRS, 1, ignore)


def bins(tokenizer, text, recognise=lambda text: "en"):
    return Extractor(tokenizer, recognise).features(text, EN_DE)._asdict()


def test_each_text_falls_into_a_bin_of_each_feature(tokenizer):
    assert bins(tokenizer, "turn on") == {"characters": 0, "pieces": 7, "unknown": 0, "language": None}
    assert bins(tokenizer, LONG) == {"characters": 3, "pieces": 7, "unknown": 0, "language": 0}


def test_every_bin_exists(tokenizer):
    found = bins(tokenizer, "x" * 10_000, lambda text: "fr")
    assert {name: place <= len(EDGES[name]) for name, place in found.items()} == dict.fromkeys(EDGES, True)
    assert (found["characters"], found["language"]) == (7, 1)


def test_unknown_characters_count(tokenizer):
    assert bins(tokenizer, "turn on 漢")["unknown"] == 2
    assert bins(tokenizer, "漢字")["unknown"] == 3


def test_only_the_start_of_a_long_text_is_tokenized(tokenizer, monkeypatch):
    monkeypatch.setattr(features, "MOST_CHARACTERS", 4)
    assert bins(tokenizer, "turn" + "漢" * 100)["unknown"] == 0


def test_an_empty_text_has_only_a_length(tokenizer):
    assert bins(tokenizer, " ") == {"characters": 0, "pieces": None, "unknown": None, "language": None}


def test_the_language_of_short_texts_and_of_placeholders_is_not_recognised(tokenizer):
    def fail(text):
        raise AssertionError(text)

    assert bins(tokenizer, "turn on the light", fail)["language"] is None
    assert bins(tokenizer, "{a_very_long_name_of_a_placeholder_in_a_text} on", fail)["language"] is None
    assert bins(tokenizer, LONG, None)["language"] is None


def test_the_recogniser_knows_languages_that_the_model_does_not():
    assert recogniser()("Le fichier que vous cherchez n'a pas été trouvé sur le serveur") == "fr"
