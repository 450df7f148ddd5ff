"""Compare grouped top-k with a full sort."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqloom.decoding.topk import largest, top_continuations
from tests.examples import examples


def assert_stand_there(values, where, expected):
    """Check that the indices are distinct and point at the expected values; those of -inf are arbitrary."""
    for row, places, wanted in zip(values, where.tolist(), expected.tolist(), strict=True):
        real = [place for place, value in zip(places, wanted, strict=True) if value != -torch.inf]
        assert row[real].tolist() == wanted[: len(real)]
        assert len(set(real)) == len(real)


@settings(max_examples=examples(60), deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 4), width=st.integers(1, 5000), count=st.integers(1, 40),
    masked=st.sampled_from([0.0, 0.5, 0.999]),
)  # fmt: skip
def test_largest_equals_a_full_sort(seed, rows, width, count, masked):
    draw = torch.Generator().manual_seed(seed)
    values = torch.rand(rows, width, generator=draw, dtype=torch.float64)
    values[torch.rand(rows, width, generator=draw) < masked] = -torch.inf
    best, where = largest(values, count)
    expected = values.sort(dim=1, descending=True).values[:, :count]
    assert torch.equal(best, expected)
    assert_stand_there(values, where, expected)


@settings(max_examples=examples(60), deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), sources=st.integers(1, 3), beams=st.integers(1, 6), width=st.integers(1, 3000),
    count=st.integers(1, 20), masked=st.sampled_from([0.0, 0.5, 0.999]),
)  # fmt: skip
def test_continuations_are_ranked_by_the_sum_with_their_hypothesis(seed, sources, beams, width, count, masked):
    draw = torch.Generator().manual_seed(seed)
    values = torch.rand(sources, beams, width, generator=draw)
    values[torch.rand(values.shape, generator=draw) < masked] = -torch.inf
    before = -torch.rand(sources, beams, generator=draw, dtype=torch.float64)
    before[torch.rand(before.shape, generator=draw) < 0.1] = -torch.inf
    ranked = top_continuations(values, count, before)
    every = (values.double() + before.unsqueeze(2)).flatten(1)
    expected = every.sort(dim=1, descending=True).values[:, :count]
    assert torch.equal(ranked.sums, expected)
    assert_stand_there(every, ranked.where, expected)
    assert torch.equal(ranked.highest, values.amax(dim=2))


@pytest.mark.parametrize("width", [10, 10_000])
@pytest.mark.parametrize("count", [1, 6])
def test_nan_counts_as_the_largest(width, count):
    values = torch.zeros(2, width)
    values[1, width - 1] = torch.nan
    best, where = largest(values, count)
    assert best[0].tolist() == [0.0] * count
    assert best[1, 0].isnan()
    assert where[1, 0] == width - 1
