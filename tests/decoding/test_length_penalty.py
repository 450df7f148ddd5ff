"""The length penalties follow the papers and never decrease."""

import pytest

from seqloom.decoding.length_penalty import PENALTIES, length_penalties


def test_wu_follows_the_paper():
    assert length_penalties("wu", 1.0, 6).tolist() == pytest.approx([1, 7 / 6, 8 / 6, 9 / 6, 10 / 6, 11 / 6, 2])
    assert length_penalties("wu", 0.6, 6)[6] == pytest.approx(2**0.6)


def test_average_divides_by_the_number_of_tokens_including_eos():
    assert length_penalties("average", 1.0, 3).tolist() == [1, 2, 3, 4]
    assert length_penalties("average", 0.5, 3)[3] == 2


@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_never_decreases(name):
    assert length_penalties(name, 0.0, 4).tolist() == [1] * 5
    for alpha in (0.1, 1.0, 3.0):
        assert length_penalties(name, alpha, 50).diff().min() > 0


@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_does_not_depend_on_the_longest_hypothesis(name):
    longest = length_penalties(name, 0.6, 40).tolist()
    assert all(length_penalties(name, 0.6, length).tolist() == longest[: length + 1] for length in range(40))


@pytest.mark.parametrize("name", PENALTIES)
def test_penalties_have_double_precision(name):
    assert length_penalties(name, 0.6, 9).tolist() == [PENALTIES[name](length, 0.6) for length in range(1, 11)]
