"""The result of translating a text: the translation, and flags for its reader."""

from enum import StrEnum
from typing import NamedTuple


class Flag(StrEnum):
    """A property of a translation that its reader should know about."""

    COPIED = "copied"
    """A part was copied from the source: a URL, an e-mail address, emoji, only numbers, or an unknown script."""
    SPLIT = "split"
    """A sentence was longer than any in training, so it was translated in parts."""
    LOOPED = "looped"
    """The model repeated itself, so the text was translated again with repetitions blocked."""
    CUT = "cut"
    """The translation reached the search's maximum length, or the source is longer than the model can read."""
    PLACEHOLDERS = "placeholders"
    """The translation does not contain exactly the placeholders of its source."""
    LOW_CONFIDENCE = "low_confidence"
    """The translation has a low probability, is empty, lost a copied part, or still repeats itself."""


class Result(NamedTuple):
    """The translation of a text of any length."""

    text: str
    flags: tuple[Flag, ...] = ()  # distinct, in the order of `Flag`
    confidence: float | None = None  # geometric mean probability of its tokens; None if all of it was copied
    score: float = 0.0  # sum of the scores of its sentences
    cut: bool = False  # a sentence reached the maximum number of tokens
    source_cut: bool = False  # a sentence was longer than the model can read
