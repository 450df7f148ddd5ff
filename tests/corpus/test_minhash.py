import random

import pytest

from seqloom.corpus import minhash
from seqloom.corpus.minhash import RECALL, MinHashIndex, band_keys, bands_for, write_index
from seqloom.corpus.near_copies import NearCopies, grams_of

LETTERS = "abcdefg hij"


def changed(text, count, draw):
    characters = list(text)
    for place in draw.sample(range(len(text)), count):
        characters[place] = draw.choice(LETTERS)
    return "".join(characters)


def texts_and_copies(count, draw):
    texts = ["".join(draw.choices(LETTERS, k=draw.randint(3, 200))) for _ in range(count)]
    return texts, [changed(text, draw.randint(0, len(text) // 30), draw) for text in texts[: count // 2]]


def indexed(folder, texts, similarity):
    folder.mkdir()
    write_index(folder, texts, bands_for(similarity))
    return MinHashIndex(folder, similarity)


@pytest.mark.parametrize("similarity", [0.5, 0.8])
def test_what_is_found_are_near_copies_and_hardly_any_is_missed(tmp_path, monkeypatch, similarity):
    monkeypatch.setattr(minhash, "_BATCH", 300)
    monkeypatch.setattr(minhash, "_PAIRS", 100)
    texts, copies = texts_and_copies(2000, random.Random(5))
    index, exact = indexed(tmp_path / "index", texts, similarity), NearCopies(texts, similarity)
    index.compare_all(copies)
    exact.compare_all(copies)
    assert index.found <= exact.found
    assert len(exact.found) > 700
    assert len(index.found) >= RECALL * len(exact.found)


def test_what_is_found_can_be_forgotten(tmp_path):
    index = indexed(tmp_path / "index", ["turn on the lights", "a door that is open"], 0.8)
    index.compare_all(["Turn on the lights"])
    assert index.found == {0}
    index.forget()
    index.compare_all(["nothing of the kind", "a door that is open"])
    assert index.found == {1}


def test_an_empty_index_finds_nothing(tmp_path):
    index = indexed(tmp_path / "index", [], 0.8)
    index.compare_all(["a text"])
    assert index.found == set()


def test_equal_grams_give_equal_keys_in_every_company():
    bands = bands_for(0.8)
    alone, among = band_keys(["Port 1 is open"], bands), band_keys(["a", "port 22 is OPEN", "", "abcde"], bands)
    assert alone.shape == (1, bands.number)
    assert (alone[0] == among[1]).all()
    assert not (among[0] == among[2]).any()


@pytest.mark.parametrize("similarity", [0.05, 0.3, 0.5, 0.8, 0.9, 1.0])
def test_bands_have_the_recall_that_is_promised(similarity):
    number, rows = bands_for(similarity)
    assert number * rows <= 128
    assert 1 - (1 - similarity**rows) ** number >= RECALL


def test_a_copy_is_found_at_the_probability_of_its_bands():
    draw, bands = random.Random(6), bands_for(0.8)
    texts = ["".join(draw.choices(LETTERS, k=60)) for _ in range(1500)]
    copies = [changed(text, 4, draw) for text in texts]
    agree = (band_keys(texts, bands) == band_keys(copies, bands)).any(axis=1)
    expected = 0.0
    for one, other in zip(grams_of(texts), grams_of(copies), strict=True):
        expected += 1 - (1 - (len(one & other) / len(one | other)) ** bands.rows) ** bands.number
    assert abs(agree.sum() - expected) < 60  # three standard deviations
