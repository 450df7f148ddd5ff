"""What came of translating a text: the translation, and what a reader should know about how it was made."""

from enum import StrEnum
from typing import NamedTuple


class Flag(StrEnum):
    """Something that a reader of a translation should know."""

    COPIED = "copied"
    """A part was copied by rule: a URL, an e-mail address, emoji, numbers only, a script that the model never saw."""
    SPLIT = "split"
    """A sentence was longer than any that training saw, and was translated in parts."""
    LOOPED = "looped"
    """The model repeated itself; this is what it wrote when repetitions were blocked."""
    CUT = "cut"
    """It has the greatest length that the search allows, or its source is longer than the model reads."""
    PLACEHOLDERS = "placeholders"
    """It does not hold exactly the placeholders of its source."""
    LOW_CONFIDENCE = "low_confidence"
    """The model gave it a low probability, wrote nothing, lost a part that is copied, or repeats itself even so."""


class Result(NamedTuple):
    """The translation of a text of any length."""

    text: str
    flags: tuple[Flag, ...] = ()  # each one once, in the order of `Flag`
    confidence: float | None = None  # mean probability of its tokens (geometric); None if all of it was copied
    score: float = 0.0  # the sum of the scores of its sentences
    cut: bool = False  # a sentence has as many tokens as it may have
    source_cut: bool = False  # a sentence was longer than the model reads
