"""Text from elsewhere as a terminal or a log may have it: no control character acts, none is lost."""

import unicodedata

# Marks that reorder what a terminal shows.
REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")


def is_control(character: str) -> bool:
    """Return whether a character acts on a terminal or is half of one: controls, surrogates, marks that reorder."""
    return unicodedata.category(character) in ("Cc", "Cs") or character in REORDERING


def printable(text: str) -> str:
    """Return the text with every such character, line breaks too, written as its escape."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(repr(each)[1:-1] if is_control(each) else each for each in text)
