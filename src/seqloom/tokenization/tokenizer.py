"""The contract between text and token ids. Everything above this room knows a tokenizer by this alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

PAD, UNK, BOS, EOS = 0, 1, 2, 3  # the same ids in every vocabulary


class Encoded(NamedTuple):
    """A source segment: its ids (without BOS or EOS) and the placeholders that its slots stand for."""

    ids: list[int]
    slots: tuple[str, ...]


class Tokenizer(Protocol):
    """Text to ids and back.

    A *slot* is a symbol that stands for a placeholder of the source segment (`{name}`, `%s`, `<b>`): the first distinct
    placeholder of the source is slot 0, and so on. The target is written with the same slots, so that a model learns
    where placeholders go and not how each one is spelled, and an unseen one survives as well as a known one.
    Methods normalise their text first (`seqloom.text.normalise`).
    """

    @property
    def source_vocab_size(self) -> int:
        """Number of source ids."""

    @property
    def target_vocab_size(self) -> int:
        """Number of target ids; equal to the source's where the vocabulary is joint."""

    @property
    def joint(self) -> bool:
        """Whether both sides share one vocabulary."""

    def encode_source(self, text: str) -> Encoded:
        """Return the ids of a source segment and its slots."""

    def encode_target(self, text: str, slots: Sequence[str]) -> list[int]:
        """Return the ids of a target segment, its placeholders written as the slots of its source where they match."""

    def decode(self, ids: Sequence[int], slots: Sequence[str]) -> str:
        """Return the text of target ids, slots replaced by what they stand for; PAD, BOS and EOS are skipped."""

    def save(self, folder: Path) -> None:
        """Write the tokenizer into `folder`, whole or not at all. Equal tokenizers write equal bytes."""
