"""Make untrusted text safe for a terminal or a log, by escaping control characters."""

import unicodedata

# Directional marks, and the Unicode line and paragraph separators.
REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")


def is_control(character: str) -> bool:
    """Return whether a character is a control, a lone surrogate, a directional mark or a Unicode line separator."""
    return unicodedata.category(character) in ("Cc", "Cs") or character in REORDERING


def printable(text: str) -> str:
    """Return the text with each of these characters, including line breaks, replaced by its Python escape."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(repr(each)[1:-1] if is_control(each) else each for each in text)
