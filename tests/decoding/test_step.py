"""The largest of a row, found by groups, against a full sort."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqloom.decoding.step import largest


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 4), width=st.integers(1, 5000), count=st.integers(1, 40),
    masked=st.sampled_from([0.0, 0.5, 0.999]),
)  # fmt: skip
def test_largest_is_what_a_sort_puts_first(seed, rows, width, count, masked):
    draw = torch.Generator().manual_seed(seed)
    values = torch.rand(rows, width, generator=draw, dtype=torch.float64)
    values[torch.rand(rows, width, generator=draw) < masked] = -torch.inf
    best, where = largest(values, count)
    expected = values.sort(dim=1, descending=True).values[:, :count]
    assert torch.equal(best, expected)
    assert torch.equal(values.gather(1, where), expected)
    assert all(len(set(row)) == len(row) for row in where.tolist())


@pytest.mark.parametrize("width", [10, 10_000])
@pytest.mark.parametrize("count", [1, 6])
def test_nan_is_the_largest(width, count):
    values = torch.zeros(2, width)
    values[1, width - 1] = torch.nan
    best, where = largest(values, count)
    assert best[0].tolist() == [0.0] * count
    assert best[1, 0].isnan()
    assert where[1, 0] == width - 1
