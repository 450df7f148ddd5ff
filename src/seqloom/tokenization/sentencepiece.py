"""A vocabulary of subwords, learnt by SentencePiece (Kudo and Richardson 2018)."""

import io
import re
from collections.abc import Iterable, Sequence
from typing import ClassVar, Self

from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

from seqloom.errors import TokenizerError
from seqloom.symbols import SPECIAL_IDS
from seqloom.tokenization.settings import TokenizerSettings
from seqloom.tokenization.subword_sampling import SubwordSampler, bpe_dropout_splits, unigram_splits
from seqloom.tokenization.tokenizer import SampleSubwords

# Fixed, because the sums of expectation maximisation depend on how sentences are distributed over threads: with the
# machine's number of cores, each machine would give another model. More threads than cores do no harm.
_THREADS = 4

# SentencePiece uses U+2581 for a space, so U+2581 in a text would become a space. It is replaced by a character that
# normalised text never contains.
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
        """Learn `settings.vocab_size` pieces from normalised lines; each of `symbols` is a piece and part of no other.

        Equal lines and settings give equal bytes, whatever the number of cores.

        Raises:
            TokenizerError: there is no text, or it does not support this `vocab_size`; the message names the limit.
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
                pad_id=SPECIAL_IDS.pad,
                unk_id=SPECIAL_IDS.unk,
                bos_id=SPECIAL_IDS.bos,
                eos_id=SPECIAL_IDS.eos,
                unk_surface="\N{REPLACEMENT CHARACTER}",
                normalization_rule_name="identity",  # the text is normalised already
                remove_extra_whitespaces=False,
                split_digits=True,  # numbers are copied digit by digit, so that unseen ones can be written
                max_sentence_length=1 << 20,  # bytes; SentencePiece silently drops longer lines
                num_threads=_THREADS,
                minloglevel=2,  # errors only; they are raised as exceptions
            )
        except RuntimeError as error:
            if raised:
                raise raised[0] from None
            raise TokenizerError(_explain(error, settings)) from error
        return cls(model.getvalue())

    @property
    def size(self) -> int:
        """Number of ids."""
        return int(self._processor.vocab_size())

    def encode(self, text: str) -> list[int]:
        """Return the ids of the most likely split."""
        ids: list[int] = self._processor.encode(text.translate(_ESCAPE), out_type=int)
        return ids

    def subword_sampler(self, alpha: float) -> SampleSubwords:
        """Return a function that samples other splits of ids.

        A unigram model draws from the most likely splits, weighted by likelihood ** `alpha` (Kudo 2018, section 3.3).
        Byte pair encoding skips each merge with probability `alpha` (Provilkov et al. 2020, section 3).
        """
        model = self._processor
        apart = [model.is_control(id_) or model.is_unknown(id_) or model.is_byte(id_) for id_ in range(self.size)]
        written = [None if apart[id_] else model.id_to_piece(id_) for id_ in range(self.size)]
        pieces = {piece: (id_, model.get_score(id_)) for id_, piece in enumerate(written) if piece is not None}
        splits = unigram_splits(pieces, alpha) if self._unigram() else bpe_dropout_splits(pieces, alpha)
        return SubwordSampler(written, splits)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids`; invalid UTF-8 becomes U+FFFD."""
        text: str = self._processor.decode(list(ids))
        return text.translate(_UNESCAPE)

    def id_of(self, symbol: str) -> int:
        """Return the id of a symbol. Raises `ValueError` if the vocabulary was not trained with it."""
        index = int(self._processor.piece_to_id(symbol))
        if index == SPECIAL_IDS.unk:
            raise ValueError(f"{symbol!r} is not a piece of the vocabulary")
        return index

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Return the piece of each id, with a space shown as U+2581."""
        pieces: list[str] = self._processor.id_to_piece(list(ids))
        return [piece.translate(_UNESCAPE) for piece in pieces]

    def byte_ids(self) -> tuple[int, ...]:
        """Return the ids of the byte pieces in byte order; empty without byte fallback."""
        found = tuple(int(self._processor.piece_to_id(f"<0x{octet:02X}>")) for octet in range(256))
        return found if all(self._processor.is_byte(index) for index in found) else ()

    def _unigram(self) -> bool:
        try:
            self._processor.nbest_encode("", nbest_size=1, out_type=int)  # byte pair encoding does not support this
        except RuntimeError:
            return False
        return True

    def to_bytes(self) -> bytes:
        """Return the content of SentencePiece's model file."""
        return self._model

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read the content of SentencePiece's model file. Raises `ValueError` if it is invalid."""
        try:
            return cls(content)
        except RuntimeError as error:
            raise ValueError(f"not a SentencePiece model: {error}") from error


def _escaped(lines: Iterable[str], raised: list[BaseException]) -> Iterable[str]:
    """Yield lines for the trainer. It converts any exception to RuntimeError, so the original is kept in `raised`."""
    try:
        for line in lines:
            yield line.translate(_ESCAPE)
    except BaseException as error:  # including KeyboardInterrupt
        raised.append(error)
        raise


def _explain(error: RuntimeError, settings: TokenizerSettings) -> str:
    message = str(error)
    if match := _TOO_LARGE.search(message):
        return (
            f"tokenizer.vocab_size is {match[1]}, but this text supports at most {match[2]} pieces "
            f"({settings.algorithm}); lower it to {match[2]} or less, or add text"
        )
    if match := _TOO_SMALL.search(message):
        return (
            f"tokenizer.vocab_size is {match[1]}, but characters, bytes, slots and special pieces already take "
            f"{match[2]}; raise it above that, or lower tokenizer.character_coverage ({settings.character_coverage:g})"
        )
    if "sentences_.empty()" in message:
        return "there is no text to train a tokenizer on"
    return f"SentencePiece cannot train on this text: {message}"
