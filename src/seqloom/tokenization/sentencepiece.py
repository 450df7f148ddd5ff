"""A vocabulary of subwords, learnt by SentencePiece (Kudo and Richardson 2018). Knows one side of the text."""

import io
import re
from collections.abc import Iterable, Sequence
from typing import ClassVar, Self

from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

from seqloom.errors import TokenizerError
from seqloom.symbols import OWN
from seqloom.tokenization.settings import TokenizerSettings
from seqloom.tokenization.subword_sampling import SubwordSampler, bpe_dropout_splits, unigram_splits
from seqloom.tokenization.tokenizer import SampleSubwords

# The sums of expectation maximisation depend on how sentences are dealt to threads: a number that followed the
# machine would give another model on each. More than the machine has do no harm.
_THREADS = 4

# SentencePiece writes a space as U+2581 and would read one in the text as a space. It travels as a character that
# no normalised text holds.
_ESCAPE = str.maketrans({"▁": "\uf8ff"})
_UNESCAPE = str.maketrans({"\uf8ff": "▁"})

_TOO_LARGE = re.compile(r"Vocabulary size too high \((\d+)\).*<= (\d+)")
_TOO_SMALL = re.compile(r"Vocabulary size is smaller than required_chars\. (\d+) vs (\d+)")


class SentencePieceVocabulary:
    """Subwords by unigram language model (Kudo 2018) or byte pair encoding (Sennrich et al. 2016)."""

    name: ClassVar[str] = "sentencepiece"

    def __init__(self, model: bytes) -> None:
        self._model = model
        self._processor = SentencePieceProcessor(model_proto=model)

    @classmethod
    def train(cls, lines: Iterable[str], settings: TokenizerSettings, symbols: Sequence[str]) -> Self:
        """Learn `settings.vocab_size` pieces from normalised lines; `symbols` are pieces and part of no other.

        Equal lines and settings give equal bytes on any number of cores.

        Raises:
            TokenizerError: there is no text, or it supports only another size, which the message names.
        """
        raised: list[BaseException] = []
        model = io.BytesIO()
        try:
            SentencePieceTrainer.train(
                sentence_iterator=_escaped(lines, raised),
                model_writer=model,
                model_type=settings.algorithm,
                vocab_size=settings.vocab_size,
                character_coverage=settings.character_coverage,
                byte_fallback=settings.byte_fallback,
                user_defined_symbols=list(symbols),
                pad_id=OWN.pad,
                unk_id=OWN.unk,
                bos_id=OWN.bos,
                eos_id=OWN.eos,
                unk_surface="\N{REPLACEMENT CHARACTER}",
                normalization_rule_name="identity",  # text is normalised before it comes here
                remove_extra_whitespaces=False,
                split_digits=True,  # a number is copied digit by digit, so that an unseen one can be written
                max_sentence_length=1 << 20,  # bytes; SentencePiece drops longer lines without a word
                num_threads=_THREADS,
                minloglevel=2,  # errors alone; they come back as exceptions
            )
        except RuntimeError as error:
            if raised:
                raise raised[0] from None
            raise TokenizerError(_said(error, settings)) from error
        return cls(model.getvalue())

    @property
    def size(self) -> int:
        """Number of ids."""
        return int(self._processor.vocab_size())

    def encode(self, text: str) -> list[int]:
        """Return the ids of the likeliest split."""
        ids: list[int] = self._processor.encode(text.translate(_ESCAPE), out_type=int)
        return ids

    def subword_sampler(self, alpha: float) -> SampleSubwords:
        """Return what splits ids anew.

        Of a unigram model the likeliest splits are drawn from, by their likelihood to the power of alpha (Kudo 2018,
        section 3.3); of byte pair encoding each merge is left out with the probability alpha (Provilkov et al. 2020,
        section 3).
        """
        model = self._processor
        apart = [model.is_control(id_) or model.is_unknown(id_) or model.is_byte(id_) for id_ in range(self.size)]
        written = [None if apart[id_] else model.id_to_piece(id_) for id_ in range(self.size)]
        pieces = {piece: (id_, model.get_score(id_)) for id_, piece in enumerate(written) if piece is not None}
        splits = unigram_splits(pieces, alpha) if self._unigram() else bpe_dropout_splits(pieces, alpha)
        return SubwordSampler(written, splits)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids; bytes that are not UTF-8 become U+FFFD."""
        text: str = self._processor.decode(list(ids))
        return text.translate(_UNESCAPE)

    def id_of(self, symbol: str) -> int:
        """Return the id of a symbol that the vocabulary was trained with. Raises `ValueError` for another."""
        index = int(self._processor.piece_to_id(symbol))
        if index == OWN.unk:
            raise ValueError(f"{symbol!r} is no piece of its own")
        return index

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Return each piece as SentencePiece writes it, a space as U+2581."""
        pieces: list[str] = self._processor.id_to_piece(list(ids))
        return [piece.translate(_UNESCAPE) for piece in pieces]

    def byte_ids(self) -> tuple[int, ...]:
        """Return the ids of the byte pieces, in the order of their bytes; none without byte fallback."""
        found = tuple(int(self._processor.piece_to_id(f"<0x{octet:02X}>")) for octet in range(256))
        return found if all(self._processor.is_byte(index) for index in found) else ()

    def _unigram(self) -> bool:
        try:
            self._processor.nbest_encode("", nbest_size=1, out_type=int)  # byte pair encoding knows no second best
        except RuntimeError:
            return False
        return True

    def to_bytes(self) -> bytes:
        """Return SentencePiece's model file."""
        return self._model

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read SentencePiece's model file. Raises `ValueError`."""
        try:
            return cls(content)
        except RuntimeError as error:
            raise ValueError(f"not a SentencePiece model: {error}") from error


def _escaped(lines: Iterable[str], raised: list[BaseException]) -> Iterable[str]:
    """The lines for the trainer. It turns every exception into a RuntimeError, so the true one is put aside."""
    try:
        for line in lines:
            yield line.translate(_ESCAPE)
    except BaseException as error:  # an interrupt too
        raised.append(error)
        raise


def _said(error: RuntimeError, settings: TokenizerSettings) -> str:
    said = str(error)
    if match := _TOO_LARGE.search(said):
        return (
            f"tokenizer.vocab_size is {match[1]}, but this text supports {match[2]} pieces at most "
            f"({settings.algorithm}); lower it to {match[2]} or less, or add text"
        )
    if match := _TOO_SMALL.search(said):
        return (
            f"tokenizer.vocab_size is {match[1]}, but the characters, bytes, slots and special pieces alone are "
            f"{match[2]}; raise it above that, or lower tokenizer.character_coverage ({settings.character_coverage:g})"
        )
    if "sentences_.empty()" in said:
        return "there is no text to train a tokenizer on"
    return f"SentencePiece cannot train on this text: {said}"
