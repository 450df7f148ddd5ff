import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqloom.corpus.near_copies import NearCopies, grams_of


def similarity(one, other):
    one, other = grams_of(one), grams_of(other)
    return len(one & other) / len(one | other)


def test_only_the_beginning_of_a_long_text_is_compared():
    long = "".join(chr(0x4E00 + n) for n in range(20_000))
    assert len(grams_of(long)) < 1000
    assert grams_of(long) == grams_of(long[:1000])


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
