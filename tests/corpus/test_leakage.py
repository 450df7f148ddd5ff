import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqloom.corpus.leakage import NearCopies, grams_of, measure_leakage
from seqloom.corpus.splits import Pair, Split, SplitWriter
from seqloom.languages import Direction

EN_DE = [Direction("en", "de")]


def write(folder, **splits):
    for split in Split:
        with SplitWriter(folder / split.file_name) as writer:
            for source, target, *direction in splits.get(split.name, ()):
                writer.write(Pair(source, target, *direction or ["en-de"], "c", ""))


def similarity(one, other):
    one, other = grams_of(one), grams_of(other)
    return len(one & other) / len(one | other)


def test_shared_texts_are_counted_after_masking(tmp_path):
    write(
        tmp_path,
        train=[("Port 1", "Anschluss 1"), ("Save {name}", "{name} speichern")],
        valid=[("Something else entirely", "Anschluss 7"), ("Other words", "Andere Worte")],
        test=[("Port 22", "Steckdose"), ("Save {other}", "Sichern"), ("Port 23", "Dose"), ("New", "Neu")],
    )
    found = measure_leakage(tmp_path, EN_DE, 0.8, 100)
    assert found[Split.valid] == (2, 0, 1, 2, 0)
    assert found[Split.test] == (4, 3, 0, 4, 3)
    assert found[Split.test].share == 0.75


def test_texts_are_compared_with_both_sides_in_their_language(tmp_path):
    write(
        tmp_path,
        train=[("Guten Morgen zusammen", "Good morning all", "de-en"), ("Start", "Beginn", "en-de")],
        valid=[("x", "y", "en-de")],
        test=[
            ("Good morning all", "Morgen!", "en-de"),  # a target of training
            ("Good evening", "Guten Morgen zusammen", "en-de"),  # a source of training
            ("Start", "Begin", "de-en"),  # the same word in another language
            ("Good morning, all", "Na", "en-de"),  # near a target of training
        ],
    )
    both_ways = [Direction("en", "de"), Direction("de", "en")]
    found = measure_leakage(tmp_path, both_ways, 0.4, 100)[Split.test]
    assert (found.segments, found.sources, found.targets) == (4, 1, 1)
    assert found.near_copies == 3  # including "Start": grams ignore the language


def test_sources_and_summaries_in_one_language_are_not_compared(tmp_path):
    texts = [(f"a text about {word} and more", f"on {word}", "en-en") for word in ("lamps", "doors", "roofs")]
    swapped = [(summary, text, "en-en") for text, summary, _ in texts]
    write(tmp_path, train=swapped, valid=texts[:1], test=texts)
    assert measure_leakage(tmp_path, [Direction("en", "en")], 0.8, 100)[Split.test] == (3, 0, 0, 3, 0)


def test_only_the_beginning_of_a_long_text_is_compared():
    long = "".join(chr(0x4E00 + n) for n in range(20_000))
    assert len(grams_of(long)) < 1000
    assert grams_of(long) == grams_of(long[:1000])


def test_a_near_copy_is_counted_once(tmp_path):
    train = [(f"The door of the garage opens slowly{mark}", "x") for mark in ("!", "?", ".")]
    write(tmp_path, train=train, valid=[("v", "w")], test=[("The door of the garage opens slowly", "x")])
    assert measure_leakage(tmp_path, EN_DE, 0.8, 100)[Split.test].near_copies == 1


def test_the_sample_is_limited_and_independent_of_the_order(tmp_path):
    texts = [(f"text {word}", "x") for word in "abcdefghijklmnop"]
    results = []
    for name, order in (("a", texts), ("b", texts[::-1])):
        (tmp_path / name).mkdir()
        write(tmp_path / name, train=texts[:8], valid=texts, test=order)
        results.append(measure_leakage(tmp_path / name, EN_DE, 0.9, 5)[Split.test])
    assert results[0] == results[1]
    assert results[0].compared == 5
    assert results[0].segments == 16


words = st.lists(st.sampled_from(["lamp", "door", "lamps", "doors", "the", "a"]), min_size=1, max_size=6).map(" ".join)


@settings(deadline=None)
@given(
    index=st.lists(words, unique=True, max_size=8),
    stream=st.lists(words, max_size=8),
    bound=st.sampled_from([0.02, 0.3, 0.5, 0.8, 1.0]),
)
def test_prefix_filtering_finds_the_same_as_comparing_all_pairs(index, stream, bound):
    near = NearCopies(index, bound)
    for text in stream:
        near.compare(grams_of(text))
    assert near.found == {n for n, one in enumerate(index) if any(similarity(one, other) >= bound for other in stream)}


@pytest.mark.parametrize("length", [40, 90, 400])
def test_prefix_filtering_is_exact_for_longer_texts(length):
    draw = random.Random(3)
    letters = "abcdefg hij"
    index = ["".join(draw.choices(letters, k=length + n % 9)) for n in range(60)]
    stream = []
    for text in index[:30]:
        changed = list(text)
        for _ in range(draw.randrange(length // 10)):
            changed[draw.randrange(len(text))] = draw.choice(letters)
        stream.append("".join(changed))
    near = NearCopies(index, 0.6)
    for text in stream:
        near.compare(grams_of(text))
    expected = {n for n, one in enumerate(index) if any(similarity(one, other) >= 0.6 for other in stream)}
    assert near.found == expected
    assert 5 < len(expected) < 30


@pytest.mark.parametrize(("text", "count"), [("", 1), ("abc", 1), ("abcde", 1), ("abcdef", 2)])
def test_short_texts_have_one_gram(text, count):
    assert len(grams_of(text)) == count
