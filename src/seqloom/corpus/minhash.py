"""Near-copies of many texts by MinHash and locality-sensitive hashing.

A text's signature is the MinHash of its grams, computed by rensa (A. Z. Broder: On the resemblance and containment of
documents, SEQUENCES 1997). Signatures are cut into bands of some rows; texts that agree in a whole band are candidates,
and their similarity is then computed exactly. So what is found are near-copies, and few are missed: with similarity s,
b bands and r rows a candidate is found with probability 1 - (1 - s^r)^b, at least `RECALL`.

The index is files, which all workers map into memory: sorted keys of the bands, and the texts. It takes about 12 bytes
per band and text, 216 bytes per text with the usual 18 bands.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqloom.arrow import array_of, pa
from seqloom.corpus.near_copies import HEAD, ODD, Grams, gram_hashes, grams_of, mixed, similar

RECALL = 0.995  # at the similarity that is sought; above it, more
_PERMUTATIONS = 128  # at most: the length of a signature
_SEED = 1
_KEYS, _TEXTS, _SOURCES = "keys.npy", "texts.npy", "texts.arrow"
_BATCH = 4096  # texts
_CACHED = 512  # sets of grams in memory; that of a text of 1,000 characters takes about 100 kB
_PAIRS = 1 << 20  # candidates that are looked at together


class Bands(NamedTuple):
    """How a signature is cut: `number` bands of `rows` numbers each."""

    number: int
    rows: int


def bands_for(similarity: float) -> Bands:
    """Return the bands with the most rows, that is, the fewest wrong candidates, whose recall is at least `RECALL`.

    If `similarity` is so small that there are none (below 0.05), return as many bands of one row as there can be.
    """
    found = Bands(_PERMUTATIONS, 1)
    for rows in range(1, _PERMUTATIONS + 1):
        agree = similarity**rows
        count = 1 if agree >= 1 else math.ceil(math.log(1 - RECALL) / math.log1p(-agree))
        if count * rows > _PERMUTATIONS:
            break
        found = Bands(count, rows)
    return found


def band_keys(texts: Sequence[str], bands: Bands) -> NDArray[np.uint64]:
    """Return (texts, bands) keys; two texts agree in a band if their keys in it are equal."""
    from rensa import RMinHash

    hashes, starts = gram_hashes(texts)
    length = bands.number * bands.rows
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(hashes, starts.astype(np.uint64), length, _SEED)
    rows = np.array(matrix.to_rows(), np.uint64).reshape(len(texts), bands.number, bands.rows)
    keys = np.broadcast_to(np.arange(1, bands.number + 1, dtype=np.uint64), rows.shape[:2]) * ODD
    for row in range(bands.rows):
        keys = mixed(keys ^ rows[:, :, row])
    return keys


def write_index(folder: Path, texts: Iterable[str], bands: Bands) -> None:
    """Write the index of some texts into a folder."""
    keys: list[NDArray[np.uint64]] = []
    waiting = iter(texts)
    schema = pa.schema([("text", pa.string())])
    with pa.OSFile(str(folder / _SOURCES), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        while batch := list(islice(waiting, _BATCH)):
            keys.append(band_keys(batch, bands))
            beginnings = [text[:HEAD] for text in batch]
            writer.write_batch(pa.record_batch([array_of(beginnings, pa.string())], schema=schema))
    every = np.concatenate([np.empty((0, bands.number), np.uint64), *keys])
    order = np.argsort(every, axis=None, kind="stable")
    np.save(folder / _KEYS, every.reshape(-1)[order])
    np.save(folder / _TEXTS, (order // bands.number).astype(np.uint32))


class MinHashIndex:
    """An index in a folder; `found` contains the numbers of its texts that have a near-copy."""

    def __init__(self, folder: Path, similarity: float) -> None:
        self._similarity, self._bands = similarity, bands_for(similarity)
        self._keys = np.load(folder / _KEYS, mmap_mode="r", allow_pickle=False)
        self._texts = np.load(folder / _TEXTS, mmap_mode="r", allow_pickle=False)
        self._sources = pa.ipc.open_file(pa.memory_map(str(folder / _SOURCES)))
        self._known = np.zeros(int(self._texts.max(initial=0)) + 1, np.bool_)
        self._grams = lru_cache(_CACHED)(self._read)

    @property
    def found(self) -> set[int]:
        """The texts that have a near-copy."""
        return set(np.flatnonzero(self._known).tolist())

    def forget(self) -> None:
        """Begin anew, with no text found."""
        self._known[:] = False

    def compare_all(self, texts: Iterable[str]) -> None:
        """Record which texts of the index are similar to one of these."""
        waiting = iter(texts)
        while batch := list(islice(waiting, _BATCH)):
            self._compare(batch)

    def _compare(self, batch: Sequence[str]) -> None:
        keys, where = np.unique(band_keys(batch, self._bands), return_inverse=True)
        low, high = (np.searchsorted(self._keys, keys, side) for side in ("left", "right"))
        hits = (high > low)[where.reshape(len(batch), -1)]
        places = where.reshape(len(batch), -1)[hits]
        owners = np.nonzero(hits)[0]
        for start, end in _portions((high - low)[places]):
            candidates = self._candidates(owners[start:end], low[places[start:end]], high[places[start:end]])
            self._verify(batch, candidates)

    def _candidates(
        self, owners: NDArray[np.int64], low: NDArray[np.int64], high: NDArray[np.int64]
    ) -> NDArray[np.uint64]:
        """(candidates,) pairs of a text of the batch and one of the index that is not found yet, as one number."""
        lengths = high - low
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        theirs = self._texts[np.repeat(low, lengths) + within].astype(np.uint64)
        pairs = (np.repeat(owners, lengths).astype(np.uint64) << np.uint64(32)) | theirs
        return np.unique(pairs[~self._known[theirs]])

    def _verify(self, batch: Sequence[str], candidates: NDArray[np.uint64]) -> None:
        last, grams = -1, Grams()
        for pair in candidates.tolist():
            ours, theirs = pair >> 32, pair & 0xFFFFFFFF
            if self._known[theirs]:
                continue
            if ours != last:
                last, grams = ours, grams_of([batch[ours]])[0]
            self._known[theirs] = similar(grams, self._grams(theirs), self._similarity)

    def _read(self, number: int) -> Grams:
        batch = self._sources.get_batch(number // _BATCH)
        return grams_of([batch.column(0)[number % _BATCH].as_py()])[0]


def _portions(lengths: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield ranges of entries whose lengths sum to about `_PAIRS`, or a single longer one."""
    ends = np.cumsum(lengths)
    start = 0
    while start < len(ends):
        begun = ends[start] - lengths[start]
        end = max(start + 1, int(np.searchsorted(ends, begun + _PAIRS, "right")))
        yield start, end
        start = end
