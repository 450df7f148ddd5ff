import pytest

from seqloom.errors import DirectionError
from seqloom.languages import Direction
from seqloom.serving.matching import find_detected, find_direction
from seqloom.serving.service import Detected

SERVED = [Direction("de", "en"), Direction("en", "de"), Direction("en", "pt-BR"), Direction("en", "pt-PT")]


@pytest.mark.parametrize(
    ("source", "target", "found"),
    [
        ("en", "de", "en-de"),
        ("EN", "DE", "en-de"),
        ("en-US", "de_AT", "en-de"),
        ("en", "PT_br", "en-pt-BR"),
        ("en", "pt-PT", "en-pt-PT"),
        ("en-GB", "pt", "en-pt-BR"),
    ],
)
def test_the_best_direction_is_found(source, target, found):
    assert str(find_direction(SERVED, source, target)) == found


@pytest.mark.parametrize(("source", "target"), [("fr", "de"), ("en", "en"), ("en", "pt-AO"), ("", ""), ("en", "d")])
def test_an_unknown_direction_lists_the_served_ones(source, target):
    with pytest.raises(DirectionError, match="served are de-en, en-de, en-pt-BR, en-pt-PT"):
        find_direction(SERVED, source, target)


def test_the_most_likely_source_into_the_target_is_taken():
    detected = [Detected("de", 0.8), Detected("en", 0.2)]
    assert find_detected(SERVED, detected, "en") == (Direction("de", "en"), Detected("de", 0.8))
    assert find_detected(SERVED, detected, "pt-BR") == (Direction("en", "pt-BR"), Detected("en", 0.2))
    with pytest.raises(DirectionError, match="into 'fr'"):
        find_detected(SERVED, detected, "fr")
