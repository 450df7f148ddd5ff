"""Find test segments that a model was trained on, by the keys of its training texts, which each version stores.

A key is a 64-bit hash of a text with digits and placeholders masked (`corpus.keys`). The keys of a million pairs take
at most 16 MB, and do not reveal the texts.
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
    """The sorted, distinct keys of the source and of the target texts in training."""

    sources: NDArray[np.uint64]
    targets: NDArray[np.uint64]

    def holds(
        self, pairs: Sequence[Pair], directions: Sequence[Direction], apart: Literal["source", "both"]
    ) -> list[bool]:
        """Return, for each pair, whether one of its texts occurs among the source or target texts of training.

        With `apart` "source", only the source of each pair is looked up; with "both", its target as well.
        """
        named = {str(direction): languages_of(direction) for direction in directions}
        known = np.union1d(self.sources, self.targets)
        sides = range(1 if apart == "source" else 2)
        found = np.zeros(len(pairs), dtype=bool)
        for side in sides:
            keys = np.array([key_of(pair[side], named[pair.direction][side]) for pair in pairs], dtype=np.uint64)
            found |= np.isin(keys, known)
        return [bool(each) for each in found]

    def save(self, path: Path) -> None:
        """Write the keys to a file, atomically."""
        with replacing(path) as beside:
            save_file(self._asdict(), beside)

    @classmethod
    def of(cls, pairs: Iterable[Pair], directions: Sequence[Direction]) -> "TrainingTexts":
        """Compute the keys of pairs, reading them one at a time."""
        named = {str(direction): languages_of(direction) for direction in directions}
        keys = array("Q"), array("Q")
        for pair in pairs:
            for side, language in enumerate(named[pair.direction]):
                keys[side].append(key_of(pair[side], language))
        return cls(*(np.unique(np.frombuffer(side, np.uint64)) for side in keys))

    @classmethod
    def read(cls, content: bytes) -> "TrainingTexts | None":
        """Read what `save` wrote; return None if `content` is something else."""
        try:
            found = load(content)
            return cls(found["sources"], found["targets"])
        except (SafetensorError, KeyError):
            return None
