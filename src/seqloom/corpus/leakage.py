"""Leakage: what valid and test share with training, measured on the written pairs.

Measured for valid and for test:

- `sources` and `targets`: the number of segments whose source or target text also occurs in training, on either side,
  in the same language. Digits and placeholders are masked.
- `near_copies`: how many segments have a near-copy in training, that is, a text whose grams are similar to those of
  their source. All near-copies are found (`near_copies`) if neither split has more than `leakage_sample` segments, and
  at least 99.5% of them (`minhash`) in larger splits.

Parts of training are compared by different workers. The index of valid and test is files, so no worker holds more than
it needs.
"""

import dataclasses
import json
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqloom.corpus.keys import key_of, languages_of
from seqloom.corpus.minhash import MinHashIndex, bands_for, write_index
from seqloom.corpus.near_copies import NearCopies
from seqloom.corpus.preparing.pair_files import read_pairs
from seqloom.corpus.splits import HELD_OUT, Pair, Split, read_split
from seqloom.files import sha256_of, write_json
from seqloom.languages import Direction
from seqloom.sharding.step import Function

FOUND = "found.json"
_SIDES = ("source", "target")
_BATCH = 4096  # pairs


class Leakage(NamedTuple):
    """What a split shares with training, in segments; `near_copies` counts those of the `compared` segments."""

    segments: int
    sources: int
    targets: int
    compared: int
    near_copies: int

    @property
    def share(self) -> float:
        """The share of near-copies."""
        return self.near_copies / self.compared if self.compared else 0.0


class Index(NamedTuple):
    """The index of valid and test in a folder: the number of segments of each, and how near-copies are found."""

    folder: Path
    segments: tuple[int, int]
    exact: bool

    def keys(self, split: Split, side: str) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Return the distinct keys of the texts of a side, sorted, and how often each occurs."""
        keys, counts = (np.load(self.folder / f"{split.name}.{side}.{name}.npy") for name in ("keys", "counts"))
        return keys, counts

    def near_copies(self, similarity: float) -> NearCopies | MinHashIndex:
        """Open the index of the sources of valid, followed by those of test."""
        if self.exact:
            return NearCopies(_sources(self.folder), similarity)
        return MinHashIndex(self.folder, similarity)


def write_held_out(
    folder: Path, held_out: Mapping[Split, Path], directions: Sequence[Direction], near_copy: float, most: int
) -> Index:
    """Index valid and test.

    Args:
        folder: where the index is written; must exist.
        held_out: the files of the two splits.
        directions: the directions of the pairs.
        near_copy: the least similarity, in (0, 1], of near-copies.
        most: segments per split, at most, for which all near-copies are found.
    """
    languages = {str(direction): languages_of(direction) for direction in directions}
    segments = [_write_keys(folder, split, path, languages) for split, path in held_out.items()]
    index = Index(folder, (segments[0], segments[1]), max(segments) <= most)
    sources = (pair.source for path in held_out.values() for pair in read_split(path))
    if index.exact:
        write_json(folder / "sources.json", list(sources))
    else:
        write_index(folder, sources, bands_for(near_copy))
    return index


def _write_keys(folder: Path, split: Split, path: Path, languages: Mapping[str, tuple[str, str]]) -> int:
    """Write the distinct keys of a split and how often each occurs, and return the number of segments."""
    keys = array("Q"), array("Q")
    for pair in read_split(path):
        for found, text, language in zip(keys, pair[:2], languages[pair.direction], strict=True):
            found.append(key_of(text, language))
    for side, found in zip(_SIDES, keys, strict=True):
        distinct, counts = np.unique(np.frombuffer(found, np.uint64), return_counts=True)
        np.save(folder / f"{split.name}.{side}.keys.npy", distinct)
        np.save(folder / f"{split.name}.{side}.counts.npy", counts)
    return len(keys[0])


def _sources(folder: Path) -> list[str]:
    return list(json.loads((folder / "sources.json").read_text(encoding="utf-8")))


@dataclasses.dataclass(frozen=True)
class CompareTraining:
    """Compares a part of the training split with the index of valid and test."""

    folder: str  # of the index
    segments: tuple[int, int]
    exact: bool
    held_out: tuple[str, ...]  # SHA-256 of the files of valid and test
    directions: tuple[Direction, ...]
    near_copy: float

    name = "check leakage"

    @classmethod
    def of(
        cls, index: Index, held_out: Mapping[Split, Path], directions: Sequence[Direction], near_copy: float
    ) -> "CompareTraining":
        """Return the step for an index of these files."""
        hashes = tuple(map(sha256_of, held_out.values()))
        return cls(str(index.folder), index.segments, index.exact, hashes, tuple(directions), near_copy)

    def identity(self) -> dict[str, Any]:
        """Return what is compared, and how."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name != "folder"}

    def start(self) -> Function:
        """Open the index, and return the function for a part of training."""
        index = Index(Path(self.folder), self.segments, self.exact)
        return _Comparison(index, self.directions, self.near_copy).compare


class _Comparison:
    """The index as a worker holds it."""

    def __init__(self, index: Index, directions: Sequence[Direction], near_copy: float) -> None:
        self._near = index.near_copies(near_copy)
        self._languages = {str(direction): languages_of(direction) for direction in directions}
        self._read = {source for source, _ in self._languages.values()}
        self._keys = [index.keys(split, side)[0] for split in HELD_OUT for side in _SIDES]

    def compare(self, path: Path, folder: Path) -> int:
        """Write which keys and near-copies of valid and test are in a file of pairs; return the number of pairs."""
        shared = [np.zeros(len(keys), np.bool_) for keys in self._keys]
        near = self._near
        near.forget()  # what was found in other parts, so that the result does not depend on them
        rows = 0
        waiting = read_pairs(path)
        while pairs := list(islice(waiting, _BATCH)):
            rows += len(pairs)
            texts = list(chain.from_iterable(map(self._texts, pairs)))
            keys = np.array([key_of(text, language) for text, language in texts], np.uint64)
            for known, seen in zip(self._keys, shared, strict=True):
                if len(known):
                    places = np.searchsorted(known, keys).clip(max=len(known) - 1)
                    seen[places[known[places] == keys]] = True
            near.compare_all(text for text, language in texts if language in self._read)
        found = {"shared": [np.flatnonzero(seen).tolist() for seen in shared], "near": sorted(near.found)}
        write_json(folder / FOUND, found)
        return rows

    def _texts(self, pair: Pair) -> Iterator[tuple[str, str]]:
        return zip(pair[:2], self._languages[pair.direction], strict=True)


def combine(index: Index, folders: Sequence[Path]) -> dict[Split, Leakage]:
    """Return the leakage that the results of `CompareTraining` for all parts of training amount to."""
    shared: list[set[int]] = [set() for _ in range(4)]
    near: set[int] = set()
    for folder in folders:
        found = json.loads((folder / FOUND).read_text(encoding="utf-8"))
        for seen, more in zip(shared, found["shared"], strict=True):
            seen.update(more)
        near.update(found["near"])
    valid = index.segments[0]
    copies = Counter(Split.valid if number < valid else Split.test for number in near)
    leakage = {}
    for split, segments, sides in zip(HELD_OUT, index.segments, (shared[:2], shared[2:]), strict=True):
        sources, targets = (
            int(index.keys(split, side)[1][sorted(each)].sum()) for side, each in zip(_SIDES, sides, strict=True)
        )
        leakage[split] = Leakage(segments, sources, targets, segments, copies[split])
    return leakage
