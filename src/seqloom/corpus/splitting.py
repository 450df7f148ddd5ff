"""Which split a pair is in, and which pairs of valid and test have to go because training holds their text.

Two promises, whatever the corpus:

- **A pair never changes sides.** Its split is a function of its group (or, without one, of its masked source text)
  and of the salt; not of its position, nor of any other pair. As the corpus grows, what was in training can never be
  found in test, nor the other way round. A pair of valid or test can only vanish, when a group of training brings
  the same text.
- **The same text never stands on two sides**, digits and placeholders masked: valid gives way to training, test to
  both. With `apart: both` that holds for the texts of the target side too.

The second needs to know all texts of training before the first pair of test is written. So `Claims` and `Duplicates`
are filled in two passes, and hold 64-bit keys instead of texts.
"""

from seqloom.corpus.keys import fraction_of, mask
from seqloom.corpus.settings import SplitSettings
from seqloom.corpus.splits import Split

# How the metrics count what is dropped here.
CONFLICTS = ("source_in_earlier_split", "target_in_earlier_split")
DUPLICATE = "duplicate"


def split_of(source: str, group: str, settings: SplitSettings) -> Split:
    """Return the split of a pair; `source` is the cleaned text, `group` may be empty."""
    # The name of the corpus is no part of the hash: two releases of one catalogue fall on one side.
    kept_together = group if group and settings.by == "group" else mask(source)
    fraction = fraction_of(kept_together, settings.salt)
    if fraction < settings.test:
        return Split.test
    return Split.valid if fraction < settings.test + settings.valid else Split.train


class Claims:
    """Which split each text belongs to: the first, in the order train, valid, test, that has a pair with it."""

    def __init__(self, settings: SplitSettings) -> None:
        self._sources: dict[int, Split] = {}
        self._targets: dict[int, Split] | None = {} if settings.apart == "both" else None

    def claim(self, split: Split, source: int, target: int) -> None:
        """Note a pair of a split by the keys of its texts. All pairs are noted before the first is asked for."""
        _lower(self._sources, source, split)
        if self._targets is not None:
            _lower(self._targets, target, split)

    def conflict(self, split: Split, source: int, target: int) -> str | None:
        """Return why a pair cannot stay in its split, as the metrics count it, or None if it can."""
        if self._sources[source] < split:
            return CONFLICTS[0]
        if self._targets is not None and self._targets[target] < split:
            return CONFLICTS[1]
        return None


def _lower(owners: dict[int, Split], key: int, split: Split) -> None:
    if owners.setdefault(key, split) > split:
        owners[key] = split


class Duplicates:
    """Tells which pairs were seen before: by their source, by both sides, or never."""

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self._seen: set[int] = set()

    def seen(self, source: int, target: int) -> bool:
        """Tell whether an equal pair was asked for before, and remember this one."""
        if self._mode == "no":
            return False
        key = source if self._mode == "source" else hash((source, target))
        if key in self._seen:
            return True
        self._seen.add(key)
        return False
