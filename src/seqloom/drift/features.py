"""The features of a source text that are compared with training, each reduced to a bin.

| feature | value |
|---|---|
| `characters` | length |
| `pieces` | pieces of the vocabulary per character; it rises if the model knows the words less well |
| `unknown` | share of pieces that are unknown, or single bytes of a character that the vocabulary lacks |
| `language` | whether the recognised language is the source language |

The language is only recognised in texts of at least 40 bytes, as shorter ones are often misjudged.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import NamedTuple

from seqloom import language_recognition
from seqloom.languages import Direction
from seqloom.text import PLACEHOLDER
from seqloom.tokenization.tokenizer import Tokenizer

EDGES: Mapping[str, tuple[float, ...]] = {
    "characters": (8, 16, 32, 64, 128, 256, 512),
    "pieces": (0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75),
    "unknown": (0, 0.05, 0.2),
    "language": (0,),
}
"""The upper edges of the bins of each feature, inclusive; one more bin holds larger values."""

MOST_CHARACTERS = 2_000
"""Of a longer text, only this many characters are tokenized."""

_LEAST, _HEAD = 40, 300  # bytes that a text needs for its language to be recognised, and characters that are used
_BYTE_PIECE = re.compile(r"<0x[0-9A-F]{2}>")

Recognise = Callable[[str], str]
"""Return the language code of a text."""


class Features(NamedTuple):
    """The bin of each feature of a text; None if the feature is not defined for it."""

    characters: int
    pieces: int | None
    unknown: int | None
    language: int | None


class Extractor:
    """Computes features with the tokenizer of a model; `recognise` is `recogniser()`, or None if there is none."""

    def __init__(self, tokenizer: Tokenizer, recognise: Recognise | None) -> None:
        self._tokenizer, self._recognise = tokenizer, recognise

    def features(self, text: str, direction: Direction) -> Features:
        """Return the features of a source text in that direction."""
        head = text[:MOST_CHARACTERS]
        ids = self._tokenizer.encode_source(head, direction.target).ids
        if not ids:
            return Features(_bin("characters", len(text)), None, None, None)
        pieces = self._tokenizer.source_pieces(ids)
        unknown = ids.count(self._tokenizer.symbols.unk) + sum(map(bool, map(_BYTE_PIECE.fullmatch, pieces)))
        return Features(
            _bin("characters", len(text)),
            _bin("pieces", len(ids) / len(head)),
            _bin("unknown", unknown / len(ids)),
            self._language(head, direction.source),
        )

    def _language(self, text: str, expected: str) -> int | None:
        text = " ".join(PLACEHOLDER.sub(" ", text).split())[:_HEAD]
        if self._recognise is None or len(text.encode(errors="replace")) < _LEAST:
            return None
        return _bin("language", self._recognise(text) != expected.partition("-")[0])


def recogniser() -> Recognise | None:
    """Return py3langid's recogniser of all its languages, or None if it is not installed."""
    try:
        identifier = language_recognition.recogniser()
    except ImportError:
        return None
    return lambda text: str(identifier.classify(text)[0])


def _bin(feature: str, value: float) -> int:
    return bisect_left(EDGES[feature], value)
