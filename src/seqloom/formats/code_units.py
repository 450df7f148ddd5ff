"""Characters as UTF-16 code units, which the escapes of Java, JSON and Apple count: U+1F600 is two of them."""

import re

SURROGATE = re.compile("[\ud800-\udfff]")
HALF = "half a character (lone surrogate)"
"""Why a text with a code unit that has no partner is left out."""


def joined(text: str) -> str:
    """Return `text` with pairs of surrogates as the characters they stand for; lone ones stay."""
    if SURROGATE.search(text) is None:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def escaped_units(character: str, form: str) -> str:
    r"""Return a character's code units, each in a format such as `\\u{:04x}`."""
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(form.format(int.from_bytes(units[at : at + 2], "big")) for at in range(0, len(units), 2))


def shown(text: str) -> str:
    """Return `text` with lone surrogates replaced, so that it can be printed."""
    return SURROGATE.sub("\ufffd", text)
