"""Keys of texts. Two texts of a language have the same key if they agree after masking digits and placeholders.

A key is a 64-bit hash, so an index of a corpus fits in memory. In a corpus of six million texts, the probability of a
collision is about 1 in 10^6; its only effect is the loss of one pair.
"""

import re
from hashlib import blake2b

from seqloom.languages import Direction
from seqloom.text import PLACEHOLDER

_DIGITS = re.compile(r"\d\d*(?:[.,:]\d+)*")  # beginning with a single class, it is found faster than with \d+
_HOLE = "\ue000"  # private use: removed from texts by normalise()


def mask(text: str) -> str:
    """Return the text with every placeholder replaced by a marker and every number by 0."""
    return _DIGITS.sub("0", PLACEHOLDER.sub(_HOLE, text))


def key_of(text: str, language: str = "") -> int:
    """Return the 64-bit key of a text in a language, with digits and placeholders masked."""
    return int.from_bytes(blake2b(mask(text).encode(), digest_size=8, person=language.encode()[:16]).digest(), "big")


def languages_of(direction: Direction) -> tuple[str, str]:
    """Return the language under which the texts of each side are keyed, so that equal texts of one language match.

    If both sides have the same language, as text and summary, the target gets a separate one.
    """
    source, target = direction
    return source, target if target != source else f">{target}"


def fraction_of(text: str, salt: str) -> float:
    """Return a pseudo-random number in [0, 1) that depends only on the text and the salt."""
    digest = blake2b(f"{salt}\0{text}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)
