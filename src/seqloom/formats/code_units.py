"""Characters as UTF-16 code units, which the escapes of Java, JSON and Apple encode: U+1F600 takes two."""

import re

SURROGATE = re.compile("[\ud800-\udfff]")
LONE_SURROGATE = "half a character (lone surrogate)"
"""The reason for skipping a text with an unpaired surrogate."""


def joined(text: str) -> str:
    """Return `text` with each surrogate pair replaced by its character; lone surrogates stay."""
    if SURROGATE.search(text) is None:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def escaped_units(character: str, form: str) -> str:
    r"""Return the character's code units, each written with a format such as `\\u{:04x}`."""
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(form.format(int.from_bytes(units[at : at + 2], "big")) for at in range(0, len(units), 2))


def without_surrogates(text: str) -> str:
    """Return `text` with lone surrogates replaced by U+FFFD, so that it can be printed."""
    return SURROGATE.sub("\ufffd", text)
