"""Keys that stand in a file twice: programs take the last text of a key, and so do we."""

from array import array
from collections.abc import Callable, Iterator

import numpy as np

from seqloom.formats.pieces import Piece, Skip, Unit


def last_of_each(read: Callable[[], Iterator[Piece]]) -> Iterator[Piece]:
    """Yield the pieces that `read` yields; of units with one key all but the last are skips.

    `read` is called twice. Only hashes of keys are held in memory.
    """
    found = array("q", (hash(piece.key) for piece in read() if isinstance(piece, Unit)))
    later: dict[int, int] = {}  # how many of these come before the last
    if found:
        hashes = np.frombuffer(found, np.int64)
        hashes.sort()  # in place, as a file may have many
        values, counts = np.unique(hashes[1:][hashes[1:] == hashes[:-1]], return_counts=True)
        later = dict(zip(values.tolist(), counts.tolist(), strict=True))
    for piece in read():
        if later and isinstance(piece, Unit) and later.get(hash(piece.key)):
            later[hash(piece.key)] -= 1
            yield Skip(piece.raw, "duplicate key", piece.line, piece.source)
        else:
            yield piece
