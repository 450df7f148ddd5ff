"""Temperature sampling: which pairs an epoch reads if directions differ in size."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[Any]
"""An integer array, usually of pair indices, in the smallest type that fits: there may be millions."""


class TemperatureSampler:
    """Draws as many pairs per epoch as there are; the share of direction i is proportional to n_i ** (1 / T).

    n_i is the number of pairs of direction i, T the temperature: Arivazhagan et al. 2019 (Massively Multilingual Neural
    Machine Translation in the Wild), section 4.2. With T = 1 the shares are those of the data; the higher T, the more
    equal they become; the paper prefers 5. Each direction is an endless sequence of permutations of its pairs, and each
    epoch takes the next part of it. A small direction is repeated within an epoch, a large one takes several epochs,
    and no pair is repeated before all others of its direction were read.
    """

    def __init__(self, directions: NDArray[np.uint16], temperature: float, seed: int) -> None:
        kind = np.min_scalar_type(len(directions))
        members = (np.flatnonzero(directions == number) for number in range(int(directions.max()) + 1))
        self._members = [rows.astype(kind) for rows in members]
        self._counts = _apportioned(np.array([len(rows) for rows in self._members]), temperature)
        self._seed = seed

    def rows(self, epoch: int) -> Rows:
        """Return the pairs of an epoch, one direction after another. They depend only on the seed and the epoch."""
        taken = []
        for number, (members, count) in enumerate(zip(self._members, self._counts.tolist(), strict=True)):
            first, last = epoch * count, (epoch + 1) * count
            size = max(len(members), 1)
            for cycle in range(first // size, -(-last // size)):
                # A third number other than zero keeps these draws independent of those of an epoch's order.
                random = np.random.Generator(np.random.PCG64([self._seed, cycle, number + 1]))
                start = cycle * size
                taken.append(random.permutation(members)[max(first - start, 0) : last - start])
        return np.concatenate(taken)


def _apportioned(sizes: Rows, temperature: float) -> Rows:
    """Return the number of pairs of each direction in an epoch, rounded by largest remainders to keep the total."""
    weights = np.where(sizes > 0, sizes.astype(np.float64) ** (1 / temperature), 0)
    exact = weights / weights.sum() * sizes.sum()
    counts: Rows = np.floor(exact).astype(np.int64)
    lacking = int(sizes.sum() - counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[:lacking]] += 1
    return counts
