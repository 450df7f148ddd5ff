"""When two texts of a language count as the same one: equal once digits and placeholders are masked.

Texts become 64-bit keys. An index of keys is what memory holds of a corpus. Two texts share a key by accident with a
chance of 1 in 10^6 in a corpus of six million; what follows from it is one pair too few.
"""

import re
from hashlib import blake2b

from seqloom.languages import Direction
from seqloom.text import PLACEHOLDER

_DIGITS = re.compile(r"\d+(?:[.,:]\d+)*")
_HOLE = "\ue000"  # private use: normalise() leaves none in a text


def mask(text: str) -> str:
    """Return a text with a hole for every placeholder and a 0 for every number."""
    return _DIGITS.sub("0", PLACEHOLDER.sub(_HOLE, text))


def key_of(text: str, language: str = "") -> int:
    """Return the 64-bit key of a text in a language, digits and placeholders masked."""
    return int.from_bytes(blake2b(mask(text).encode(), digest_size=8, person=language.encode()[:16]).digest(), "big")


def languages_of(direction: Direction) -> tuple[str, str]:
    """Return what the texts of each side count as, besides their words: the same text matters in the same language.

    Where both sides have one language, they are different things, a text and its summary, and are told apart.
    """
    source, target = direction
    return source, target if target != source else f">{target}"


def fraction_of(text: str, salt: str) -> float:
    """Return a number in [0, 1) that depends on the text and the salt alone, and looks random."""
    digest = blake2b(f"{salt}\0{text}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)
