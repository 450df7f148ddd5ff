import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqloom.batching.temperature import TemperatureSampler


def sampler(sizes, temperature, seed=1):
    return TemperatureSampler(np.repeat(np.arange(len(sizes)), sizes).astype(np.uint16), temperature, seed)


def counts(sizes, temperature, epoch=0):
    """Pairs of each direction in an epoch."""
    ends = np.cumsum(sizes)
    rows = sampler(sizes, temperature).rows(epoch)
    return np.bincount(np.searchsorted(ends, rows, side="right"), minlength=len(sizes)).tolist()


def test_shares_follow_the_paper():
    assert counts([900, 90, 10], 1.0) == [900, 90, 10]
    powers = np.array([900, 90, 10]) ** 0.2
    assert counts([900, 90, 10], 5.0) == pytest.approx(1000 * powers / powers.sum(), abs=1)
    assert counts([900, 90, 10], 1e9) == pytest.approx([333, 333, 333], abs=1)


@given(sizes=st.lists(st.integers(0, 40), min_size=1, max_size=5).filter(any), epoch=st.integers(0, 9))
def test_an_epoch_has_as_many_pairs_as_there_are(sizes, epoch):
    while not sizes[-1]:
        sizes.pop()
    found = counts(sizes, 3.0, epoch)
    assert sum(found) == sum(sizes)
    assert all(not count for count, size in zip(found, sizes, strict=True) if not size)


def test_over_many_epochs_all_pairs_of_a_direction_occur_equally_often():
    sizes, draw = [50, 7], sampler([50, 7], 4.0)
    for epochs in (1, 2, 5, 23):
        seen = np.bincount(np.concatenate([draw.rows(epoch) for epoch in range(epochs)]), minlength=57)
        for times in (seen[: sizes[0]], seen[sizes[0] :]):
            assert times.max() - times.min() <= 1


def test_an_epoch_depends_only_on_seed_and_number():
    one, two = sampler([50, 7], 4.0), sampler([50, 7], 4.0)
    late = two.rows(3).tolist()
    assert [one.rows(number).tolist() for number in range(4)][3] == late
    assert sampler([50, 7], 4.0, seed=2).rows(3).tolist() != late


def test_a_direction_without_pairs_adds_none():
    for epoch in (0, 1, 5):
        found = counts([40, 0, 4], 2.0, epoch)
        assert (found[1], sum(found)) == (0, 44)
        assert found[2] > 4


def test_a_direction_with_one_pair_is_repeated():
    assert counts([20, 1], 2.0) == [17, 4]  # 21 x 1 / (1 + 20 ** 0.5) = 3.8


def test_of_equal_remainders_the_first_ones_are_rounded_up():
    found = counts([2] * 30 + [9] * 31, 3.0)
    for group in (found[:30], found[30:]):
        assert group == sorted(group, reverse=True)
    assert len(set(found[:30])) == 2
