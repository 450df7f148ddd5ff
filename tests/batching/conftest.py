"""Token stores with contents that a test can recompute."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from seqloom.batching.store import TokenStore, TokenWriter

Pair = tuple[list[int], list[int]]


@pytest.fixture
def write_store(tmp_path: Path) -> Callable[[Sequence[Pair]], TokenStore]:
    """Returns a function that writes pairs of ids below 1000 and opens the store."""

    def write(pairs: Sequence[Pair]) -> TokenStore:
        folder = tmp_path / "store"
        with TokenWriter(folder, 1000, 1000) as writer:
            for source, target in pairs:
                writer.add(source, target)
        return TokenStore.open(folder)

    return write


@pytest.fixture
def some_pairs() -> list[Pair]:
    """600 pairs with realistic lengths: many short, few long, both sides similar; each begins with its number."""
    random = np.random.default_rng(7)
    pairs = []
    for number in range(600):
        source = int(random.geometric(0.12))
        target = max(1, source + int(random.integers(-3, 5)))
        name = [4 + number // 100, 4 + number % 100]
        pairs.append(((name + [10] * source)[: max(source, 2)], (name + [20] * target)[: max(target, 2)]))
    return pairs
