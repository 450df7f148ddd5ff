"""The tokenizer that seqloom trains: normalisation, slots and target languages around one or two vocabularies.

With several target languages, each source begins with a symbol for its target language (Johnson et al. 2017, section
3).
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, Self

from seqloom.errors import TokenizerError
from seqloom.files import replacing_folder
from seqloom.symbols import SPECIAL_IDS, Symbols
from seqloom.text import STANDARD_FORMS, Forms, normalise
from seqloom.tokenization.slots import (
    fill_slots,
    find_slots,
    language_symbols,
    put_slots,
    show_symbols,
    slot_symbols,
)
from seqloom.tokenization.tokenizer import PLACEHOLDERS_AT_ONCE, Encoded, NonTextIds, SampleSubwords

FORMAT = 1
DESCRIPTION = "tokenizer.json"


class Vocabulary(Protocol):
    """Splits the text of one side into ids and joins them again. PAD, UNK, BOS and EOS have the ids of `SPECIAL_IDS`.

    `decode(encode(text)) == text` for every normalised text of known characters and symbols.
    """

    name: ClassVar[str]  # as in params.yaml: tokenizer.name

    @property
    def size(self) -> int:
        """Number of ids."""

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, without BOS and EOS."""

    def subword_sampler(self, alpha: float) -> SampleSubwords:
        """Return a function that samples other splits of ids; `alpha` is the algorithm's parameter."""

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids`; PAD, BOS and EOS are omitted."""

    def id_of(self, symbol: str) -> int:
        """Return the id of a symbol. Raises `ValueError` if the vocabulary was not trained with it."""

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Return the written form of each id, with a space shown as U+2581."""

    def byte_ids(self) -> tuple[int, ...]:
        """Return the ids of the 256 bytes, in order, that encode unseen characters; empty if there are none."""

    def to_bytes(self) -> bytes:
        """Return the vocabulary as bytes, for `from_bytes`. Equal vocabularies give equal bytes."""

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read the output of `to_bytes`. Raises `ValueError` if it is invalid."""


class PlaceholderRules(NamedTuple):
    """What is a placeholder, and how many of them a text may have before it is translated in chunks."""

    forms: Forms = STANDARD_FORMS
    at_once: int = PLACEHOLDERS_AT_ONCE


_STANDARD = PlaceholderRules()


class TrainedTokenizer:
    """A `Tokenizer` with a source and a target vocabulary; if both are the same object, it is joint.

    `languages` are the target languages, either none or several; the source vocabulary must have their symbols. `rules`
    defines what is a placeholder.
    """

    def __init__(
        self,
        source: Vocabulary,
        target: Vocabulary,
        slots: int,
        languages: Sequence[str] = (),
        rules: PlaceholderRules = _STANDARD,
    ) -> None:
        self._source, self._target, self._slots = source, target, slots
        self.forms = rules.forms
        self.placeholders_at_once = min(rules.at_once, slots) or rules.at_once
        taken = tuple(target.id_of(symbol) for symbol in slot_symbols(slots))
        self.non_text_ids = NonTextIds(taken, target.byte_ids(), (SPECIAL_IDS.unk,))
        symbols = language_symbols(len(languages))
        self._language_ids = {name: source.id_of(symbol) for name, symbol in zip(languages, symbols, strict=True)}

    @property
    def symbols(self) -> Symbols:
        """The special ids."""
        return SPECIAL_IDS

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
        """Whether source and target share one vocabulary."""
        return self._source is self._target

    @property
    def languages(self) -> tuple[str, ...]:
        """The valid values of `language`; empty if there is only one target language."""
        return tuple(self._language_ids)

    def encode_source(self, text: str, language: str | None = None) -> Encoded:
        """Return the ids of a source segment, starting with the target language if there are several, and its slots."""
        first = self._first(language)
        text = normalise(text)
        slots = find_slots(text, self._slots, self.forms)
        ids = self._source.encode(put_slots(text, slots, self.forms))
        return Encoded([*first, *ids] if ids else [], slots)

    def encode_target(self, text: str, slots: Sequence[str], language: str | None = None) -> list[int]:
        """Return the ids of a target segment; placeholders that are in `slots` become slots."""
        return self._target.encode(put_slots(normalise(text), slots, self.forms))

    def prefix(self, language: str | None = None) -> list[int]:
        """Return an empty list, because the target language is part of the source."""
        return []

    def decode(self, ids: Sequence[int], slots: Sequence[str]) -> str:
        """Return the text of target ids, normalised, because a model may write repeated spaces or invalid UTF-8."""
        return normalise(fill_slots(self._target.decode(ids), slots))

    def spell(self, ids: Sequence[int]) -> str:
        """Return the text of target ids without normalisation, with slots as symbols."""
        return self._target.decode(ids)

    def subword_sampler(self, side: Literal["source", "target"], alpha: float) -> SampleSubwords:
        """Return a function that samples other splits of ids; slots and the language stay in place."""
        return (self._source if side == "source" else self._target).subword_sampler(alpha)

    def source_pieces(self, ids: Sequence[int]) -> list[str]:
        """Return the written form of each source id: a slot as `<0>`, a language as `<2de>`, a space as U+2581."""
        return [show_symbols(piece, self.languages) for piece in self._source.pieces(ids)]

    def target_pieces(self, ids: Sequence[int]) -> list[str]:
        """Return the written form of each target id."""
        return [show_symbols(piece, self.languages) for piece in self._target.pieces(ids)]

    def _first(self, language: str | None) -> list[int]:
        """Return the ids that a source begins with. Raises `TokenizerError` if `language` is not valid."""
        if not self._language_ids:
            return []
        if language not in self._language_ids:
            fault = "no target language is given" if language is None else f"{language!r} is not a target language"
            raise TokenizerError(f"{fault}; this model writes {', '.join(self._language_ids)}")
        return [self._language_ids[language]]

    def save(self, folder: Path) -> None:
        """Write tokenizer.json and a file per vocabulary into `folder`, atomically."""
        sides = {"joint": self._source} if self.joint else {"source": self._source, "target": self._target}
        contents = {f"{side}.model": vocabulary.to_bytes() for side, vocabulary in sides.items()}
        description: dict[str, Any] = {
            "format": FORMAT,
            "name": self._source.name,
            "joint": self.joint,
            "slots": self._slots,
            "source_vocab_size": self.source_vocab_size,
            "target_vocab_size": self.target_vocab_size,
            "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
        }
        if self.languages:
            description["languages"] = list(self.languages)
        description |= stored_forms(self.forms)
        if self.placeholders_at_once != PLACEHOLDERS_AT_ONCE:
            description["at_once"] = self.placeholders_at_once
        with replacing_folder(folder) as beside:
            for name, content in contents.items():
                (beside / name).write_bytes(content)
            text = json.dumps(description, indent=2, ensure_ascii=False) + "\n"
            (beside / DESCRIPTION).write_text(text, encoding="utf-8")


def stored_forms(forms: Forms) -> dict[str, Any]:
    """Return the entries of tokenizer.json for `forms`; the standard forms need none."""
    if forms == STANDARD_FORMS:
        return {}
    return {"placeholders": {"forms": list(forms.names), "patterns": list(forms.patterns)}}


def read_forms(description: dict[str, Any]) -> Forms:
    """Return the forms in the content of tokenizer.json, by default the standard ones. Raises `ValueError`."""
    if (stored := description.get("placeholders")) is None:
        return STANDARD_FORMS
    forms, patterns = (stored.get("forms"), stored.get("patterns")) if isinstance(stored, dict) else (None, None)
    if not isinstance(forms, list) or not isinstance(patterns, list):
        raise ValueError(f"placeholders is {stored!r}")
    if not all(isinstance(each, str) for each in [*forms, *patterns]):
        raise ValueError(f"placeholders is {stored!r}")
    return Forms(forms, patterns)
