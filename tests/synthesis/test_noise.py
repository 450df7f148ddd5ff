"""Noise and tags depend on the text only, and leave placeholders alone."""

import pickle
from collections import Counter

import pytest

from seqloom.synthesis.noise import Alteration, NoiseSettings, add_noise

TEXT = "one two three four five six seven eight nine ten"


def test_without_noise_and_tag_nothing_changes():
    assert Alteration()(TEXT) == TEXT
    assert not NoiseSettings().is_on


def test_the_same_text_always_gets_the_same_noise():
    noise = NoiseSettings(delete=0.2, replace=0.2, permute=3)
    assert add_noise(TEXT, noise) == add_noise(TEXT, noise) != TEXT
    assert add_noise(TEXT, noise) != add_noise(TEXT + " eleven", noise).removesuffix(" eleven")


def test_words_move_by_at_most_three_positions():
    words = [str(number) for number in range(200)]
    moved = add_noise(" ".join(words), NoiseSettings(permute=3)).split(" ")
    assert sorted(moved) == sorted(words)
    distances = [abs(place - int(word)) for place, word in enumerate(moved)]
    assert max(distances) == 3
    assert sum(distance > 0 for distance in distances) > 100


@pytest.mark.parametrize(("changes", "kept"), [({"delete": 0.1}, 0.9), ({"replace": 0.1}, 0.9), ({}, 1.0)])
def test_the_share_of_words(changes, kept):
    words = [f"w{number}" for number in range(2000)]
    found = Counter(add_noise(" ".join(words), NoiseSettings(**changes)).split(" "))
    assert sum(found[word] for word in words) / 2000 == pytest.approx(kept, abs=0.02)
    assert (found["\u2423"] > 0) == ("replace" in changes)


def test_placeholders_are_kept_and_not_taken_apart():
    text = 'Set {name} to <a href="x y">%s</a> now'
    noise = NoiseSettings(delete=0.9, permute=5)
    changed = add_noise(text, noise)
    assert all(part in changed for part in ("{name}", '<a href="x y">%s</a>'))


def test_a_text_without_kept_words_stays():
    assert add_noise("on", NoiseSettings(delete=0.99)) == "on"


def test_a_tag_is_the_first_word():
    change = pickle.loads(pickle.dumps(Alteration(NoiseSettings(), "\u21c4")))
    assert change("the light") == "\u21c4 the light"
    assert repr(change) == repr(Alteration(NoiseSettings(), "\u21c4"))
