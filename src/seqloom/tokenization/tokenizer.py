"""The interface of all tokenizers, which maps text to token ids and back."""

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Literal, NamedTuple, Protocol

from seqloom.symbols import Symbols
from seqloom.text import Forms


class Encoded(NamedTuple):
    """A source segment: the ids that the model reads, and the placeholders of its slots."""

    ids: list[int]
    slots: tuple[str, ...]


class NonTextIds(NamedTuple):
    """The target ids, besides `Symbols`, that are not text by themselves."""

    slots: tuple[int, ...] = ()  # consecutive ids of slots 0, 1, ...
    byte_ids: tuple[int, ...] = ()  # consecutive ids of the 256 bytes, in order, or none
    never_generated: tuple[int, ...] = ()  # ids that a search must not generate, such as UNK


PLACEHOLDERS_AT_ONCE = 4
"""The default for `Tokenizer.placeholders_at_once`: in most corpora, few texts have more placeholders."""

SampleSubwords = Callable[[Sequence[int], Random], list[int]]
"""Takes the ids of a segment and a generator; returns ids of the same text with a split drawn from the generator.

The result depends only on the ids and the state of the generator, in any process.
"""


def unchanged(ids: Sequence[int], random: Random) -> list[int]:
    """Return `ids` as they are: the `SampleSubwords` of a tokenizer that has only one split."""
    return list(ids)


class Tokenizer(Protocol):
    """Maps text to ids and back.

    A *slot* is a symbol for a placeholder of the source segment (`{name}`, `%s`, `<b>`): the first distinct placeholder
    of the source is slot 0, and so on. The target uses the same slots. So a model learns where placeholders go instead
    of how they are spelled, and unseen placeholders are kept as well as known ones. All methods normalise their text
    first (`seqloom.text.normalise`).

    A tokenizer with several target languages needs the argument `language`; others ignore it.
    """

    @property
    def symbols(self) -> Symbols:
        """The special ids."""

    @property
    def source_vocab_size(self) -> int:
        """Number of source ids."""

    @property
    def target_vocab_size(self) -> int:
        """Number of target ids; equal to the source's if the vocabulary is joint."""

    @property
    def joint(self) -> bool:
        """Whether source and target share one vocabulary."""

    @property
    def languages(self) -> tuple[str, ...]:
        """The valid values of `language`; empty if there is only one target language."""

    @property
    def forms(self) -> Forms:
        """The forms of placeholders."""

    @property
    def placeholders_at_once(self) -> int:
        """How many placeholders a text may have; one with more is translated in chunks."""

    @property
    def non_text_ids(self) -> NonTextIds:
        """The target ids that a search treats specially."""

    def encode_source(self, text: str, language: str | None = None) -> Encoded:
        """Return all ids that the encoder reads for a source segment, and its slots. An empty text has no ids.

        Raises:
            TokenizerError: `language`, the target's, is missing or not one of `languages`.
        """

    def encode_target(self, text: str, slots: Sequence[str], language: str | None = None) -> list[int]:
        """Return the ids of a target segment; placeholders that are in `slots` become slots.

        The ids start with `prefix(language)`, without BOS and EOS.
        """

    def prefix(self, language: str | None = None) -> list[int]:
        """Return the target ids that every translation into a language begins with; usually there are none."""

    def decode(self, ids: Sequence[int], slots: Sequence[str]) -> str:
        """Return the text of target ids, with placeholders in place of slots and without special ids and prefix."""

    def spell(self, ids: Sequence[int]) -> str:
        """Return the text of target ids without normalisation, with slots as symbols (see `slots.split_at_slots`)."""

    def subword_sampler(self, side: Literal["source", "target"], alpha: float) -> SampleSubwords:
        """Return a function that samples other splits of ids of one side (subword regularisation).

        `alpha` is that of Kudo 2018, section 3.3; for byte pair encoding it is the dropout of Provilkov et al. 2020,
        section 3. A tokenizer with only one split returns `unchanged`. Create it only once, because it caches words.
        """

    def source_pieces(self, ids: Sequence[int]) -> list[str]:
        """Return the written form of each source id, for display."""

    def target_pieces(self, ids: Sequence[int]) -> list[str]:
        """Return the written form of each target id, for display."""

    def save(self, folder: Path) -> None:
        """Write the tokenizer into `folder`, atomically. Equal tokenizers write equal bytes."""
