"""Whether a test set holds what a model was trained on: keys of its training texts, kept with each version.

A text is known by its 64-bit key (`corpus.keys`), digits and placeholders masked. Of a million pairs the keys take at
most 16 MB, and give away no text.
"""

from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save_file

from seqloom.corpus.keys import key_of, languages_of
from seqloom.corpus.splits import Pair
from seqloom.files import replacing
from seqloom.languages import Direction


class TrainingTexts(NamedTuple):
    """The keys of the texts of training pairs, sorted and distinct, by their side."""

    sources: NDArray[np.uint64]
    targets: NDArray[np.uint64]

    def holds(
        self, pairs: Sequence[Pair], directions: Sequence[Direction], apart: Literal["source", "both"]
    ) -> list[bool]:
        """Whether a text of each pair, of the sides that are kept `apart`, stands on either side of training."""
        named = {str(direction): languages_of(direction) for direction in directions}
        known = np.union1d(self.sources, self.targets)
        sides = range(1 if apart == "source" else 2)
        found = np.zeros(len(pairs), dtype=bool)
        for side in sides:
            keys = np.array([key_of(pair[side], named[pair.direction][side]) for pair in pairs], dtype=np.uint64)
            found |= np.isin(keys, known)
        return [bool(each) for each in found]

    def save(self, path: Path) -> None:
        """Write a file beside its place and rename it."""
        with replacing(path) as beside:
            save_file(self._asdict(), beside)

    @classmethod
    def of(cls, pairs: Iterable[Pair], directions: Sequence[Direction]) -> "TrainingTexts":
        """Take the keys of pairs, one by one."""
        named = {str(direction): languages_of(direction) for direction in directions}
        keys = array("Q"), array("Q")
        for pair in pairs:
            for side, language in enumerate(named[pair.direction]):
                keys[side].append(key_of(pair[side], language))
        return cls(*(np.unique(np.frombuffer(side, np.uint64)) for side in keys))

    @classmethod
    def read(cls, content: bytes) -> "TrainingTexts | None":
        """What `save` wrote; None where it is something else."""
        try:
            found = load(content)
            return cls(found["sources"], found["targets"])  # a KeyError tells of some other file
        except (SafetensorError, KeyError):
            return None
