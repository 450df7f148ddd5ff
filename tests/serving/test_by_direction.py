import pytest

from seqloom.errors import DirectionError
from seqloom.serving.by_direction import directions_of
from tests.serving.services import DE_EN, EN_DE, FakeService


def test_each_text_has_the_direction_of_its_language():
    class Both(FakeService):
        def directions(self):
            return [DE_EN, EN_DE, EN_DE._replace(target="fr"), DE_EN._replace(target="fr")]

    found = directions_of(Both(), ["hello", "das ist gut", "hello"], None, "FR")
    assert [str(each) for each in found] == ["en-fr", "de-fr", "en-fr"]


def test_a_named_language_is_not_detected():
    assert directions_of(FakeService(), ["das ist gut", "hello"], "EN-us", "de") == [EN_DE, EN_DE]
    assert directions_of(FakeService(), [], None, "de") == []


def test_a_direction_must_be_served_even_without_texts():
    with pytest.raises(DirectionError, match="no model translates from 'en' to 'fr'"):
        directions_of(FakeService(), [], "en", "fr")
