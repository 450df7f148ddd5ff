"""Duplicate keys: the last text of a key is used, as by the programs that these files are made for."""

from array import array
from collections.abc import Callable, Iterator
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from seqloom.formats.pieces import Piece, Skip, Unit

_BLOCK = 1 << 14  # numbers compared at a time


def keep_last(read: Callable[[], Iterator[Piece]]) -> Iterator[Piece]:
    """Yield the pieces that `read` yields, with all but the last unit of each key turned into skips.

    `read` is called twice. Memory holds only hashes of the keys.
    """
    found = array("q", (hash(piece.key) for piece in read() if isinstance(piece, Unit)))
    later: dict[int, int] = {}  # hash -> how many units precede the last one
    if found:
        hashes = np.frombuffer(found, np.int64)
        hashes.sort()  # in place: a file may have millions of keys
        later = {value: sum(1 for _ in group) for value, group in groupby(_repeated(hashes))}
    for piece in read():
        if later and isinstance(piece, Unit) and later.get(hash(piece.key)):
            later[hash(piece.key)] -= 1
            yield Skip(piece.raw, "duplicate key", piece.line, piece.source)
        else:
            yield piece


def _repeated(hashes: NDArray[np.int64]) -> Iterator[int]:
    """Yield each of the sorted numbers that equals the one before it, a block at a time."""
    for begin in range(0, len(hashes), _BLOCK):
        block = hashes[begin : begin + _BLOCK + 1]
        yield from block[1:][block[1:] == block[:-1]].tolist()
