"""Keep the placeholders of translation platforms (`[X12X]` of Weblate, `__PH_1__`) whatever the model was trained with.

A model keeps the forms of placeholders that it was trained with (`text.Forms`). Other forms, which clients put around
what they protect, are replaced by a form that it has, `{0}`, and restored afterwards.
"""

import re
from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

from seqloom.text import FORMS, Forms

_PLATFORM = re.compile(FORMS["platform"])
_MASK = re.compile(r"\{\d+\}")


class Masked(NamedTuple):
    """A text with masks, each with what it stands for."""

    text: str
    masks: tuple[tuple[str, str], ...] = ()

    def restore(self, translation: str) -> str:
        """Return a translation with the masks replaced by the placeholders."""
        for mask, placeholder in self.masks:
            translation = translation.replace(mask, placeholder)
        return translation


def mask(text: str, forms: Forms) -> Masked:
    """Return the text with placeholders of platforms masked, unless the model knows them or has no `{0}`."""
    if "platform" in forms.names or "braces" not in forms.names or not _PLATFORM.search(text):
        return Masked(text)
    unused = _unused(text)
    masks: list[tuple[str, str]] = []

    def replaced(match: re.Match[str]) -> str:
        masks.append((next(unused), match[0]))
        return masks[-1][0]

    return Masked(_PLATFORM.sub(replaced, text), tuple(masks))


def _unused(text: str) -> Iterator[str]:
    taken = set(_MASK.findall(text))
    return (each for number in count() if (each := f"{{{number}}}") not in taken)
