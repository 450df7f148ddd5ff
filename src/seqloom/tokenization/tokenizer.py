"""The contract between text and token ids. Everything above this room knows a tokenizer by this alone."""

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Literal, NamedTuple, Protocol

from seqloom.symbols import Symbols
from seqloom.text import Forms


class Encoded(NamedTuple):
    """A source segment: its ids, as the model reads them, and the placeholders that its slots stand for."""

    ids: list[int]
    slots: tuple[str, ...]


class NonTextIds(NamedTuple):
    """The target ids that are no text by themselves, beside `Symbols`."""

    slots: tuple[int, ...] = ()  # those of slot 0, 1, ..., which follow each other
    byte_ids: tuple[int, ...] = ()  # those of the 256 bytes, in their order, which follow each other; or none
    never_generated: tuple[int, ...] = ()  # those that a search never writes: the unknown piece


PLACEHOLDERS_AT_ONCE = 4
"""How many placeholders are translated at once where a tokenizer does not know: in most corpora few texts have more."""

SampleSubwords = Callable[[Sequence[int], Random], list[int]]
"""Of the ids of a segment and a generator: ids of the same text, split in another way that the generator draws.

Equal ids and generators in equal states give equal ids, in any process and whatever was drawn before.
"""


def unchanged(ids: Sequence[int], random: Random) -> list[int]:
    """The `SampleSubwords` of a tokenizer that knows one split alone."""
    return list(ids)


class Tokenizer(Protocol):
    """Text to ids and back.

    A *slot* is a symbol that stands for a placeholder of the source segment (`{name}`, `%s`, `<b>`): the first distinct
    placeholder of the source is slot 0, and so on. The target is written with the same slots, so that a model learns
    where placeholders go and not how each one is spelled, and an unseen one survives as well as a known one.
    Methods normalise their text first (`seqloom.text.normalise`).

    A tokenizer of several target languages is told which one a text is to be translated into; to the others `language`
    means nothing.
    """

    @property
    def symbols(self) -> Symbols:
        """The special ids."""

    @property
    def source_vocab_size(self) -> int:
        """Number of source ids."""

    @property
    def target_vocab_size(self) -> int:
        """Number of target ids; equal to the source's where the vocabulary is joint."""

    @property
    def joint(self) -> bool:
        """Whether both sides share one vocabulary."""

    @property
    def languages(self) -> tuple[str, ...]:
        """The target languages that `language` chooses from; empty where there is one alone."""

    @property
    def forms(self) -> Forms:
        """What counts as a placeholder."""

    @property
    def placeholders_at_once(self) -> int:
        """How many placeholders a text may have to be translated at once; one with more is translated in windows."""

    @property
    def non_text_ids(self) -> NonTextIds:
        """The target ids that a search has rules for."""

    def encode_source(self, text: str, language: str | None = None) -> Encoded:
        """Return the ids of a source segment, all that the encoder reads, and its slots.

        `language` is the target's. An empty text has no ids. Raises `TokenizerError` for a language that is not one
        of `languages`, or where one has to be named and is not.
        """

    def encode_target(self, text: str, slots: Sequence[str], language: str | None = None) -> list[int]:
        """Return the ids of a target segment, its placeholders written as the slots of its source where they match.

        Without BOS and EOS, and beginning with `prefix(language)`.
        """

    def prefix(self, language: str | None = None) -> list[int]:
        """Return the target ids that every translation into a language begins with; mostly there are none."""

    def decode(self, ids: Sequence[int], slots: Sequence[str]) -> str:
        """Return the text of target ids, slots replaced by what they stand for; special ids and prefixes have none."""

    def spell(self, ids: Sequence[int]) -> str:
        """Return the text of target ids as they spell it: not normalised, slots as their symbols (`slots.part`)."""

    def subword_sampler(self, side: Literal["source", "target"], alpha: float) -> SampleSubwords:
        """Return what splits the ids of `encode_source` or `encode_target` anew (subword regularisation).

        `alpha` is that of Kudo 2018, section 3.3; for byte pair encoding it is the dropout of Provilkov et al. 2020,
        section 3. A tokenizer that knows one split alone returns `unchanged`. Make it once: it remembers the words.
        """

    def source_pieces(self, ids: Sequence[int]) -> list[str]:
        """Return how each source id is written, for people to read."""

    def target_pieces(self, ids: Sequence[int]) -> list[str]:
        """Return how each target id is written, for people to read."""

    def save(self, folder: Path) -> None:
        """Write the tokenizer into `folder`, whole or not at all. Equal tokenizers write equal bytes."""
