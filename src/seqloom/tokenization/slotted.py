"""Slots, normalisation and two sides around a vocabulary. Knows not how a vocabulary splits text."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Protocol, Self

from seqloom.symbols import OWN, Symbols
from seqloom.text import normalise
from seqloom.tokenization.slots import fill_slots, find_slots, put_slots
from seqloom.tokenization.tokenizer import Encoded

FORMAT = 1
DESCRIPTION = "tokenizer.json"


class Vocabulary(Protocol):
    """Splits the text of one side into ids and joins them again. PAD, UNK, BOS and EOS have the ids of the contract.

    `decode(encode(text)) == text` for every normalised text whose characters it knows, slot symbols included.
    """

    name: ClassVar[str]  # as in params.yaml: tokenizer.name

    @property
    def size(self) -> int:
        """Number of ids."""

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, without BOS and EOS."""

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids; PAD, BOS and EOS have none."""

    def to_bytes(self) -> bytes:
        """Return what `from_bytes` reads. Equal vocabularies give equal bytes."""

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read what `to_bytes` wrote. Raises `ValueError`."""


class SlottedTokenizer:
    """The `Tokenizer` of a source and a target vocabulary; given one twice, it is joint."""

    def __init__(self, source: Vocabulary, target: Vocabulary, slots: int) -> None:
        self._source, self._target, self._slots = source, target, slots

    @property
    def symbols(self) -> Symbols:
        """The special ids."""
        return OWN

    @property
    def source_vocab_size(self) -> int:
        """Number of source ids."""
        return self._source.size

    @property
    def target_vocab_size(self) -> int:
        """Number of target ids."""
        return self._target.size

    @property
    def joint(self) -> bool:
        """Whether both sides share one vocabulary."""
        return self._source is self._target

    def encode_source(self, text: str) -> Encoded:
        """Return the ids of a source segment and its slots."""
        text = normalise(text)
        slots = find_slots(text, self._slots)
        return Encoded(self._source.encode(put_slots(text, slots)), slots)

    def encode_target(self, text: str, slots: Sequence[str]) -> list[int]:
        """Return the ids of a target segment, its placeholders written as the slots of its source where they match."""
        return self._target.encode(put_slots(normalise(text), slots))

    def decode(self, ids: Sequence[int], slots: Sequence[str]) -> str:
        """Return the text of target ids, normalised: a model may write two spaces, or bytes that are no text."""
        return normalise(fill_slots(self._target.decode(ids), slots))

    def save(self, folder: Path) -> None:
        """Write tokenizer.json and a file per vocabulary into `folder`, whole or not at all."""
        sides = {"joint": self._source} if self.joint else {"source": self._source, "target": self._target}
        contents = {f"{side}.model": vocabulary.to_bytes() for side, vocabulary in sides.items()}
        description = {
            "format": FORMAT,
            "name": self._source.name,
            "joint": self.joint,
            "slots": self._slots,
            "source_vocab_size": self.source_vocab_size,
            "target_vocab_size": self.target_vocab_size,
            "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
        }
        beside = folder.with_name(folder.name + ".part")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        try:
            for name, content in contents.items():
                (beside / name).write_bytes(content)
            text = json.dumps(description, indent=2, ensure_ascii=False) + "\n"
            (beside / DESCRIPTION).write_text(text, encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            beside.rename(folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
