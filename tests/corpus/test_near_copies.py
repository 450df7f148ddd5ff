import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqloom.corpus.near_copies import NearCopies, grams_of


def similarity(one, other):
    one, other = grams_of([one, other])
    return len(one & other) / len(one | other)


def test_only_the_beginning_of_a_long_text_is_compared():
    long = "".join(chr(0x4E00 + n) for n in range(20_000))
    whole, beginning = grams_of([long, long[:1000]])
    assert len(whole) < 1000
    assert whole == beginning


words = st.lists(st.sampled_from(["lamp", "door", "lamps", "doors", "the", "a"]), min_size=1, max_size=6).map(" ".join)


@settings(deadline=None)
@given(
    index=st.lists(words, unique=True, max_size=8),
    stream=st.lists(words, max_size=8),
    bound=st.sampled_from([0.02, 0.3, 0.5, 0.8, 1.0]),
)
def test_prefix_filtering_finds_the_same_as_comparing_all_pairs(index, stream, bound):
    near = NearCopies(index, bound)
    near.compare_all(stream)
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
    near.compare_all(stream)
    expected = {n for n, one in enumerate(index) if any(similarity(one, other) >= 0.6 for other in stream)}
    assert near.found == expected
    assert 5 < len(expected) < 30


@pytest.mark.parametrize(("text", "count"), [("", 1), ("abc", 1), ("abcde", 1), ("abcdef", 2)])
def test_short_texts_have_one_gram(text, count):
    assert len(grams_of([text])[0]) == count


@given(st.lists(st.text("abcdAB é\u4e00\U0001f600", max_size=12), max_size=9))
def test_the_grams_of_texts_are_their_substrings(texts):
    substrings = [frozenset(text[n : n + 5] for n in range(max(1, len(text) - 4))) for text in map(str.casefold, texts)]
    grams = grams_of(texts)
    assert list(map(len, grams)) == list(map(len, substrings))
    for (gram, substring), (gram_after, substring_after) in pairwise(zip(grams, substrings, strict=True)):
        assert len(gram & gram_after) == len(substring & substring_after)
