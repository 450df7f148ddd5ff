"""The largest batch that fits, found by trying."""

from collections.abc import Callable

from seqloom.errors import TrainingError

FINENESS = 16  # the answer is at most one part in so many below the largest batch that fits


def largest_batch(fits: Callable[[int], bool], *, start: int, most: int) -> int:
    """The largest number of tokens up to `most` that fits, about, where whatever is below a batch that fits fits too.

    From `start` it doubles, or halves, until it knows a batch that fits beside one twice as large that does not, and
    bisects between them. The answer was tried itself.

    Raises:
        TrainingError: not even one token fits.
    """
    size = min(start, most)
    if fits(size):
        low, high = size, most + 1
        while low < most:
            size = min(2 * low, most)
            if not fits(size):
                high = size
                break
            low = size
    else:
        low, high = 0, size
        while not low and high > 1:
            size = high // 2
            if fits(size):
                low = size
            else:
                high = size
    if not low:
        raise TrainingError("not even a batch of one pair fits into memory; make the model smaller")
    while high - low > max(1, low // FINENESS):
        size = (low + high) // 2
        if fits(size):
            low = size
        else:
            high = size
    return low
