"""The settings of the stage train_tokenizer."""

from typing import Annotated, Literal

from pydantic import Field

from seqloom.settings import Faults, Settings, check


class TokenizerSettings(Settings):
    """A SentencePiece vocabulary (Kudo and Richardson 2018), or a vocabulary of single characters for toy tasks."""

    name: Literal["sentencepiece", "characters"] = "sentencepiece"  # characters: one piece per character, for toy tasks
    algorithm: Literal["unigram", "bpe"]  # unigram: Kudo 2018; bpe: Sennrich et al. 2016
    vocab_size: Annotated[int, Field(ge=64, le=1_000_000)]  # of each vocabulary, including special pieces
    joint: bool  # one vocabulary for both sides
    byte_fallback: bool = True  # an unseen character becomes its UTF-8 bytes instead of <unk>
    # share of the characters in the training text that get a piece
    character_coverage: Annotated[float, Field(gt=0.9, le=1)] = 0.9999
    # per side; a larger corpus is sampled with the seed
    max_training_lines: Annotated[int, Field(ge=1, le=10**9)] = 1_000_000
    slots: Annotated[int, Field(ge=0, le=64)] = 16  # most placeholders of a segment that become symbols of their own
    max_length: Annotated[int, Field(ge=8, le=100_000)]  # tokens; longer pairs are left out of training and counted

    def reserved_pieces(self, languages: int) -> int:
        """Return the number of reserved pieces: special ones, slots, bytes, and one symbol per target language.

        `languages` is the number of target languages; a single one needs no symbol.
        """
        bytes_ = 256 if self.byte_fallback and self.name == "sentencepiece" else 0
        return 4 + self.slots + bytes_ + (languages if languages > 1 else 0)

    @check
    def _room(self) -> Faults:
        if self.vocab_size <= (taken := self.reserved_pieces(1)):
            yield "vocab_size", f"is {self.vocab_size}, which leaves no room: {taken} pieces are reserved already"
