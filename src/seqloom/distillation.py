"""Sequence-level knowledge distillation (Kim and Rush 2016): a student learns from the translations of a teacher.

The teacher translates the sources of the training split, and only of that split. Its translations become corpora of the
split `train`; validation and test stay as they are, with the references. A translation is left out

- if it is flagged: cut, looped, without its placeholders, or of low confidence;
- if its pair has a text of valid or test, by the keys that keep the splits apart. `prepare_corpus` would drop that text
  from valid or test, and the student would be scored on other segments than the teacher.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from seqloom.corpus.keys import key_of, languages_of
from seqloom.corpus.splits import Pair, read_split
from seqloom.languages import Direction
from seqloom.translation.results import Flag, Result

CHUNK = 2048  # texts that the teacher translates together
HELD_OUT = "in valid or test"
"""Why a translation without a flag is left out."""
LEFT_OUT = (Flag.CUT, Flag.LOOPED, Flag.PLACEHOLDERS, Flag.LOW_CONFIDENCE)
"""Flags of translations that a student does not learn from."""

Translate = Callable[[Sequence[str], Direction], Sequence[Result]]
"""Return the teacher's translations of some texts in a direction, in order."""


class Taught(NamedTuple):
    """A training pair with the teacher's translation as its target."""

    pair: Pair
    left_out: str | None = None  # why a student must not learn from it: one of `LEFT_OUT`, or `HELD_OUT`


class HeldOut:
    """The texts of valid and test, as keys."""

    def __init__(self, splits: Iterable[Path], directions: Mapping[str, Direction]) -> None:
        """Read the files of the splits. Raises `FormatError` if one is missing or malformed."""
        self._languages = {name: languages_of(direction) for name, direction in directions.items()}
        self._keys = {key for path in splits for pair in read_split(path) for key in self._keys_of(pair)}

    def holds(self, pair: Pair) -> bool:
        """Return whether a text of the pair is in valid or test, with digits and placeholders masked."""
        return not self._keys.isdisjoint(self._keys_of(pair))

    def _keys_of(self, pair: Pair) -> list[int]:
        return [
            key_of(text, language) for text, language in zip(pair[:2], self._languages[pair.direction], strict=True)
        ]


def teach(
    pairs: Iterable[Pair], directions: Mapping[str, Direction], translate: Translate, held_out: HeldOut
) -> Iterator[Taught]:
    """Yield each pair of the training split with the teacher's translation as its target, in order.

    `directions` has the directions of the pairs by their names, as in `en-de`.
    """
    waiting = iter(pairs)
    while chunk := list(islice(waiting, CHUNK)):
        found: dict[int, Result] = {}
        for name in dict.fromkeys(pair.direction for pair in chunk):
            rows = [row for row, pair in enumerate(chunk) if pair.direction == name]
            results = translate([chunk[row].source for row in rows], directions[name])
            found |= zip(rows, results, strict=True)
        for row, pair in enumerate(chunk):
            # In a file of pairs, a line break or tab, which a copied tag may hold, would end the text.
            taught = pair._replace(target=" ".join(found[row].text.split()))
            flag = next((flag for flag in LEFT_OUT if flag in found[row].flags), None)
            yield Taught(taught, flag or (HELD_OUT if held_out.holds(taught) else None))
