"""Placeholders and languages as symbols: `{name}` becomes slot 0, the next distinct one slot 1. Knows no vocabulary.

A symbol is written as one character of the Unicode private use area, which `seqloom.text.normalise` removes from all
text, so that no text can hold one by itself: slots from U+E000, languages from U+E100.
"""

import re
from collections.abc import Sequence

from seqloom.text import STANDARD_FORMS, Forms

_FIRST, _FIRST_LANGUAGE = 0xE000, 0xE100
_SLOT = re.compile("[\ue000-\ue0ff]")
_SYMBOL = re.compile("[\ue000-\ue1ff]")


def slot_symbols(count: int) -> list[str]:
    """Return the characters that stand for slots 0 to `count` - 1."""
    return [chr(_FIRST + slot) for slot in range(count)]


def language_symbols(count: int) -> list[str]:
    """Return the characters that stand for target languages 0 to `count` - 1, at most 256."""
    return [chr(_FIRST_LANGUAGE + language) for language in range(count)]


def find_slots(text: str, most: int, forms: Forms = STANDARD_FORMS) -> tuple[str, ...]:
    """Return the distinct placeholders of a source segment in the order of their first appearance, at most `most`."""
    return tuple(dict.fromkeys(forms.find(text)))[:most]


def put_slots(text: str, slots: Sequence[str], forms: Forms = STANDARD_FORMS) -> str:
    """Write the placeholders of `text` that stand in `slots` as slot symbols; others stay as they are spelled."""
    if not slots:
        return text
    symbols = dict(zip(slots, slot_symbols(len(slots)), strict=True))
    return forms.regex.sub(lambda match: symbols.get(match[0], match[0]), text)


def fill_slots(text: str, slots: Sequence[str]) -> str:
    """Replace slot symbols by what they stand for; a symbol beyond `slots` stands for nothing and goes."""
    return _SLOT.sub(lambda match: slots[slot] if (slot := ord(match[0]) - _FIRST) < len(slots) else "", text)


def split_at_slots(text: str, slots: Sequence[str]) -> list[tuple[str, bool]]:
    """Return `text` in parts: (a stretch of text, False), and (what a slot symbol stands for, True)."""
    parts: list[tuple[str, bool]] = []
    at = 0
    for match in _SLOT.finditer(text):
        parts.append((text[at : match.start()], False))
        at = match.end()
        if (slot := ord(match[0]) - _FIRST) < len(slots):
            parts.append((slots[slot], True))
    parts.append((text[at:], False))
    return [each for each in parts if each[0]]


def show_symbols(piece: str, languages: Sequence[str]) -> str:
    """Return a piece as people read it: a slot as its number, `<0>`, a language as `<2de>`."""

    def shown(match: re.Match[str]) -> str:
        language = ord(match[0]) - _FIRST_LANGUAGE
        if language < 0:
            return f"<{ord(match[0]) - _FIRST}>"
        return f"<2{languages[language]}>" if language < len(languages) else ""

    return _SYMBOL.sub(shown, piece)
