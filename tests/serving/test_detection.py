import pytest

from seqloom.serving.detection import Detector


@pytest.fixture(scope="module")
def detector():
    return Detector(["en", "de", "pt-BR", "xx"])


@pytest.mark.parametrize(
    ("text", "language"),
    [("The file was not found", "en"), ("Einstellungen speichern", "de"), ("O arquivo não foi encontrado", "pt-BR")],
)
def test_a_text_is_recognised(detector, text, language):
    found = detector.detect(text)
    assert found[0].language == language
    assert 0.5 < found[0].confidence <= 1
    assert sum(each.confidence for each in found) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("text", ["", "12 + 3", "{name}"])
def test_a_text_without_words_has_no_language(detector, text):
    found = detector.detect(text)
    assert sorted(each.language for each in found) == ["de", "en", "pt-BR", "xx"]
    assert {each.confidence for each in found} == {0.0}


def test_an_unknown_language_is_listed_last(detector):
    assert detector.detect("Save the file")[-1] == ("xx", 0.0)


def test_variants_of_a_language_share_its_probability():
    found = Detector(["pt", "pt-BR", "en"]).detect("O arquivo não foi encontrado")
    assert [each.confidence for each in found[:2]] == pytest.approx([0.5, 0.5], abs=0.01)
