"""Placeholders as symbols: `{name}` becomes slot 0, the next distinct one slot 1. Knows no vocabulary.

A slot is written as one character of the Unicode private use area, which `seqloom.text.normalise` removes from all
text, so that no text can hold one by itself.
"""

import re
from collections.abc import Sequence

from seqloom.text import PLACEHOLDER

_FIRST = 0xE000
_SLOT = re.compile("[\ue000-\ue0ff]")


def slot_symbols(count: int) -> list[str]:
    """Return the characters that stand for slots 0 to `count` - 1."""
    return [chr(_FIRST + slot) for slot in range(count)]


def find_slots(text: str, most: int) -> tuple[str, ...]:
    """Return the distinct placeholders of a source segment in the order of their first appearance, at most `most`."""
    return tuple(dict.fromkeys(PLACEHOLDER.findall(text)))[:most]


def put_slots(text: str, slots: Sequence[str]) -> str:
    """Write the placeholders of `text` that stand in `slots` as slot symbols; others stay as they are spelled."""
    if not slots:
        return text
    symbols = dict(zip(slots, slot_symbols(len(slots)), strict=True))
    return PLACEHOLDER.sub(lambda match: symbols.get(match[0], match[0]), text)


def fill_slots(text: str, slots: Sequence[str]) -> str:
    """Replace slot symbols by what they stand for; a symbol beyond `slots` stands for nothing and goes."""
    return _SLOT.sub(lambda match: slots[slot] if (slot := ord(match[0]) - _FIRST) < len(slots) else "", text)
