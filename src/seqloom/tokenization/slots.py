"""Replace placeholders by slot symbols: the first distinct placeholder, e.g. `{name}`, becomes slot 0, the next slot 1.

Slots, and target languages, are written as characters of the Unicode private use area: slots from U+E000, languages
from U+E100. `seqloom.text.normalise` removes these from all text, so that a text cannot contain symbols of its own.
"""

import re
from collections.abc import Sequence

from seqloom.text import STANDARD_FORMS, Forms

_FIRST, _FIRST_LANGUAGE = 0xE000, 0xE100
_SLOT = re.compile("[\ue000-\ue0ff]")
_SYMBOL = re.compile("[\ue000-\ue1ff]")


def slot_symbols(count: int) -> list[str]:
    """Return the symbols of slots 0 to `count` - 1."""
    return [chr(_FIRST + slot) for slot in range(count)]


def language_symbols(count: int) -> list[str]:
    """Return the symbols of target languages 0 to `count` - 1; `count` is at most 256."""
    return [chr(_FIRST_LANGUAGE + language) for language in range(count)]


def find_slots(text: str, most: int, forms: Forms = STANDARD_FORMS) -> tuple[str, ...]:
    """Return the first `most` distinct placeholders of a source segment, in order of first appearance."""
    return tuple(dict.fromkeys(forms.find(text)))[:most]


def put_slots(text: str, slots: Sequence[str], forms: Forms = STANDARD_FORMS) -> str:
    """Replace the placeholders of `text` that are in `slots` by slot symbols; leave others as they are."""
    if not slots:
        return text
    symbols = dict(zip(slots, slot_symbols(len(slots)), strict=True))
    return forms.regex.sub(lambda match: symbols.get(match[0], match[0]), text)


def fill_slots(text: str, slots: Sequence[str]) -> str:
    """Replace slot symbols by their placeholders; symbols beyond `slots` are removed."""
    return _SLOT.sub(lambda match: slots[slot] if (slot := ord(match[0]) - _FIRST) < len(slots) else "", text)


def split_at_slots(text: str, slots: Sequence[str]) -> list[tuple[str, bool]]:
    """Split `text` into parts: (text, False) between slot symbols, and (placeholder, True) for each slot symbol."""
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
    """Return a piece for display, with a slot as its number, `<0>`, and a language as `<2de>`."""

    def shown(match: re.Match[str]) -> str:
        language = ord(match[0]) - _FIRST_LANGUAGE
        if language < 0:
            return f"<{ord(match[0]) - _FIRST}>"
        return f"<2{languages[language]}>" if language < len(languages) else ""

    return _SYMBOL.sub(shown, piece)
