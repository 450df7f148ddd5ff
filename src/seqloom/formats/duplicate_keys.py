"""Duplicate keys: as in the programs that read these files, the last text of a key wins."""

from array import array
from collections.abc import Callable, Iterator

import numpy as np

from seqloom.formats.pieces import Piece, Skip, Unit


def keep_last(read: Callable[[], Iterator[Piece]]) -> Iterator[Piece]:
    """Yield the pieces that `read` yields, with all but the last unit of each key turned into skips.

    `read` is called twice. Memory holds only hashes of the keys.
    """
    found = array("q", (hash(piece.key) for piece in read() if isinstance(piece, Unit)))
    later: dict[int, int] = {}  # hash -> how many units precede the last one
    if found:
        hashes = np.frombuffer(found, np.int64)
        hashes.sort()  # in place: a file may have millions of keys
        values, counts = np.unique(hashes[1:][hashes[1:] == hashes[:-1]], return_counts=True)
        later = dict(zip(values.tolist(), counts.tolist(), strict=True))
    for piece in read():
        if later and isinstance(piece, Unit) and later.get(hash(piece.key)):
            later[hash(piece.key)] -= 1
            yield Skip(piece.raw, "duplicate key", piece.line, piece.source)
        else:
            yield piece
