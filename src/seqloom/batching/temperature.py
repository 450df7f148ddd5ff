"""Which pairs an epoch reads where directions have unequal shares. Knows the direction of each pair and no ids."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[Any]
"""Numbers, mostly of pairs: integers of as few bytes as hold them, for there may be millions."""


class TemperatureSampler:
    """As many pairs an epoch as there are, direction i with a share of n_i ** (1 / T), n_i its number of pairs.

    Arivazhagan et al. 2019 (Massively Multilingual Neural Machine Translation in the Wild), section 4.2: T = 1 is the
    data as it is, and the higher T, the more alike the shares; the paper prefers 5. A direction is read as an
    endless row of permutations of its pairs, of which each epoch takes the next part: a small one comes several times
    an epoch, a large one in part, and none of its pairs a second time before all others came.
    """

    def __init__(self, directions: NDArray[np.uint16], temperature: float, seed: int) -> None:
        kind = np.min_scalar_type(len(directions))
        members = (np.flatnonzero(directions == number) for number in range(int(directions.max()) + 1))
        self._members = [rows.astype(kind) for rows in members]
        self._counts = _apportioned(np.array([len(rows) for rows in self._members]), temperature)
        self._seed = seed

    def rows(self, epoch: int) -> Rows:
        """Return the pairs of an epoch, one direction after another; the same ones whenever they are asked for."""
        taken = []
        for number, (members, count) in enumerate(zip(self._members, self._counts.tolist(), strict=True)):
            first, last = epoch * count, (epoch + 1) * count
            size = max(len(members), 1)
            for cycle in range(first // size, -(-last // size)):
                # A third number that is not zero keeps these draws apart from those of an epoch's order.
                random = np.random.Generator(np.random.PCG64([self._seed, cycle, number + 1]))
                start = cycle * size
                taken.append(random.permutation(members)[max(first - start, 0) : last - start])
        return np.concatenate(taken)


def _apportioned(sizes: Rows, temperature: float) -> Rows:
    """How many pairs of each direction an epoch has: as many in all as there are, rounded by largest remainders."""
    weights = np.where(sizes > 0, sizes.astype(np.float64) ** (1 / temperature), 0)
    exact = weights / weights.sum() * sizes.sum()
    counts: Rows = np.floor(exact).astype(np.int64)
    lacking = int(sizes.sum() - counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[:lacking]] += 1
    return counts
