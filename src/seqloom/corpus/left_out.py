"""The pairs of training that score_corpus leaves out, by their positions in the training split."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqloom.corpus.splits import Pair, Split, read_split

LEFT_OUT = "left_out.npy"


def write_left_out(folder: Path, rows: NDArray[np.int64]) -> None:
    """Write the positions, counted from 0, ascending."""
    np.save(folder / LEFT_OUT, rows, allow_pickle=False)


def read_left_out(folder: Path) -> NDArray[np.int64]:
    """Return the positions, ascending; none if score_corpus is switched off."""
    path = folder / LEFT_OUT
    if not path.is_file():
        return np.empty(0, np.int64)
    rows: NDArray[np.int64] = np.load(path, allow_pickle=False)
    return rows


def read_training(corpus: Path, scores: Path) -> Iterator[Pair]:
    """Yield the pairs of the training split in data/corpus, except those that data/scores leaves out."""
    return without(read_split(corpus / Split.train.file_name), read_left_out(scores))


def without(pairs: Iterable[Pair], left_out: NDArray[np.int64], first: int = 0) -> Iterator[Pair]:
    """Yield pairs of the training split, of which the first is at position `first`, except those that are left out."""
    positions = iter(left_out[np.searchsorted(left_out, first) :].tolist())
    following = next(positions, None)
    for row, pair in enumerate(pairs, first):
        if row == following:
            following = next(positions, None)
        else:
            yield pair
