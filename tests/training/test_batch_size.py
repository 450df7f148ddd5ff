import pytest

from seqloom.errors import TrainingError
from seqloom.training.batch_size import FINENESS, largest_batch


@pytest.mark.parametrize("limit", [1, 7, 100, 1000, 1024, 1025, 5000, 65535])
@pytest.mark.parametrize("start", [1, 64, 1024, 4096])
def test_the_answer_fits_and_is_nearly_the_largest(limit: int, start: int) -> None:
    tried: list[int] = []

    def fits(size: int) -> bool:
        tried.append(size)
        return size <= limit

    found = largest_batch(fits, start=start, most=1 << 20)
    assert found in tried
    assert found <= limit <= found + max(1, found // FINENESS)
    assert len(tried) == len(set(tried)) <= 25
    assert max(tried) <= max(start, 2 * limit)  # nothing is tried that is far too large


def test_more_than_the_most_is_not_tried() -> None:
    tried: list[int] = []
    assert largest_batch(lambda size: not tried.append(size), start=64, most=1000) == 1000
    assert largest_batch(lambda size: not tried.append(size), start=4096, most=1000) == 1000
    assert max(tried) == 1000


def test_where_nothing_fits_it_says_so() -> None:
    with pytest.raises(TrainingError, match="not even a batch of one pair fits"):
        largest_batch(lambda size: False, start=1024, most=4096)
