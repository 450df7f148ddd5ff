"""A vocabulary of single characters, for toy tasks and tests."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import ClassVar, Self

from seqloom.errors import TokenizerError
from seqloom.symbols import SPECIAL_IDS
from seqloom.tokenization.settings import TokenizerSettings
from seqloom.tokenization.tokenizer import SampleSubwords, unchanged

_SPECIAL = ["", "\N{REPLACEMENT CHARACTER}", "", ""]  # the text of PAD, UNK, BOS and EOS
_SHOWN = ["<pad>", "<unk>", "<s>", "</s>"]  # how they are displayed


class CharacterVocabulary:
    """One id per character: the symbols first, then the most frequent characters; all others are UNK."""

    name: ClassVar[str] = "characters"

    def __init__(self, characters: Sequence[str]) -> None:
        self._characters = [*_SPECIAL, *characters]
        self._ids = {character: index for index, character in enumerate(characters, start=len(_SPECIAL))}

    @classmethod
    def train(cls, lines: Iterable[str], settings: TokenizerSettings, symbols: Sequence[str]) -> Self:
        """Return a vocabulary of `symbols` and the most frequent characters, at most `settings.vocab_size` ids.

        Raises:
            TokenizerError: there is no text.
        """
        counts: Counter[str] = Counter()
        for line in lines:
            counts.update(line)
        for symbol in symbols:
            counts.pop(symbol, None)
        if not counts:
            raise TokenizerError("there is no text to train a tokenizer on")
        by_frequency = sorted(counts, key=lambda character: (-counts[character], character))
        return cls([*symbols, *by_frequency[: settings.vocab_size - len(_SPECIAL) - len(symbols)]])

    @property
    def size(self) -> int:
        """Number of ids."""
        return len(self._characters)

    def encode(self, text: str) -> list[int]:
        """Return an id for each character."""
        return [self._ids.get(character, SPECIAL_IDS.unk) for character in text]

    def subword_sampler(self, alpha: float) -> SampleSubwords:
        """Return `unchanged`, because there is only one split into characters."""
        return unchanged

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids`, with U+FFFD for UNK."""
        return "".join(self._characters[index] for index in ids)

    def id_of(self, symbol: str) -> int:
        """Return the id of a symbol. Raises `ValueError` if the vocabulary was not trained with it."""
        if symbol not in self._ids:
            raise ValueError(f"{symbol!r} has no id")
        return self._ids[symbol]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Return the character of each id, with a space shown as U+2581."""
        return [(_SHOWN[index] if index < len(_SHOWN) else self._characters[index]).replace(" ", "▁") for index in ids]

    def byte_ids(self) -> tuple[int, ...]:
        """Return an empty tuple, because there are no byte pieces."""
        return ()

    def to_bytes(self) -> bytes:
        """Return the characters as JSON."""
        return (json.dumps(self._characters[len(_SPECIAL) :], ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read the output of `to_bytes`. Raises `ValueError` if it is invalid."""
        characters = json.loads(content)
        if not isinstance(characters, list) or not all(isinstance(c, str) and len(c) == 1 for c in characters):
            raise ValueError("not a list of characters")
        return cls(characters)
