"""The Hugging Face tokenizer of a pretrained model, wrapped as a `Tokenizer`.

The special ids around a text (end of sequence, language codes) are those that the wrapped tokenizer adds to an empty
one. Ids before a target become the prefix of every translation. Placeholders stay text. The files are read from a
folder and stored unchanged.
"""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self

from seqloom.errors import TokenizerError
from seqloom.huggingface import library
from seqloom.symbols import Symbols
from seqloom.text import STANDARD_FORMS, Forms, normalise
from seqloom.tokenization.tokenizer import PLACEHOLDERS_AT_ONCE, Encoded, NonTextIds, SampleSubwords, unchanged
from seqloom.tokenization.trained import DESCRIPTION, FORMAT, read_forms, stored_forms

FOLDER = "huggingface"  # a subfolder, because Hugging Face's tokenizer.json differs from our file of that name
_WEIGHTS = (".safetensors", ".safetensors.index.json")
_FAULTS = (OSError, ValueError, RuntimeError, KeyError, AttributeError, TypeError, AssertionError, ImportError)


class PretrainedOptions(NamedTuple):
    """The languages and the source prefix, see `seqloom.models.settings.PretrainedSettings`."""

    source_language: str | None = None
    target_language: str | None = None
    prefix: str = ""


class PretrainedTokenizer:
    """A `Tokenizer` read from the folder of a Hugging Face model.

    Raises:
        TokenizerError: the folder has no tokenizer, the tokenizer does not support targets, or a language code is
            missing or unknown.
    """

    name: ClassVar[str] = "pretrained"

    def __init__(self, folder: Path, options: PretrainedOptions, forms: Forms = STANDARD_FORMS) -> None:
        self._folder, self._options, self.forms = folder, options, forms
        hf = library("transformers")
        here: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            self._theirs: Any = hf.AutoTokenizer.from_pretrained(folder, **here)
            config = hf.AutoConfig.from_pretrained(folder, **here)
        except _FAULTS as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise TokenizerError(f"{folder}: its tokenizer cannot be loaded: {reason}") from error
        # Without a vocabulary file, transformers silently builds a vocabulary of the special symbols.
        files = [name for role, name in self._theirs.vocab_files_names.items() if role != "tokenizer_config_file"]
        if not any((folder / name).is_file() for name in files):
            raise TokenizerError(f"{folder}: its tokenizer has no vocabulary: none of {', '.join(files)} exists")
        self._separate = bool(getattr(self._theirs, "separate_vocabs", False))  # true for some Marian models
        self._byte_level = any(piece.startswith("Ġ") for piece in self._theirs.tokenize("a a"))
        self.source_vocab_size = int(config.vocab_size)
        self.target_vocab_size = int(getattr(config, "decoder_vocab_size", None) or config.vocab_size)
        self._set_languages()
        self._find_special_ids(config)
        self.non_text_ids = NonTextIds((), self._byte_ids())
        self.placeholders_at_once = PLACEHOLDERS_AT_ONCE

    def _set_languages(self) -> None:
        speaks = hasattr(type(self._theirs), "src_lang")
        for role, code, name in (
            ("source", self._options.source_language, "src_lang"),
            ("target", self._options.target_language, "tgt_lang"),
        ):
            if not speaks and code is not None:
                raise TokenizerError(
                    f"{self._folder}: its tokenizer has no language codes; set model.pretrained.{role}_language to null"
                )
            if speaks:
                if code not in (known := self._language_codes()):
                    raise TokenizerError(
                        f"{self._folder}: model.pretrained.{role}_language is {code!r}; valid for its tokenizer are "
                        f"{', '.join(known)}"
                    )
                setattr(self._theirs, name, code)

    def _language_codes(self) -> list[str]:
        codes = getattr(self._theirs, "lang_code_to_id", None)
        if codes is None:
            codes = [token for token in self._theirs.all_special_tokens if not token.startswith("<")]
        return sorted(codes)

    def _find_special_ids(self, config: Any) -> None:
        """Set the special ids, and the ids that the tokenizer adds around a text of either side."""
        eos, pad, unk = (getattr(self._theirs, f"{name}_token_id") for name in ("eos", "pad", "unk"))
        around = self._theirs(text_target="").input_ids
        if eos is None or pad is None or eos not in around:
            raise TokenizerError(f"{self._folder}: its tokenizer does not end targets with an end-of-sequence symbol")
        end = around.index(eos)
        self._prefix, after, start = around[:end], around[end + 1 :], _decoder_start(self._folder, config)
        if after and config.model_type == "mbart":
            start = after[-1]  # the decoder starts with the last id of the labels (Liu et al. 2020, section 2.2)
        elif after:
            self._prefix = after
        if start is None:
            raise TokenizerError(f"{self._folder / 'config.json'}: has no decoder_start_token_id")
        self.symbols = Symbols(pad=int(pad), unk=int(pad if unk is None else unk), bos=int(start), eos=int(eos))
        # A text must not produce special ids: `</s>` in it becomes unknown, not the end of the sequence.
        self._special = frozenset(self._theirs.all_special_ids)
        around = self._theirs("").input_ids
        end = around.index(eos) if eos in around else len(around)
        self._before, self._after = around[:end], around[end:]

    def _byte_ids(self) -> tuple[int, ...]:
        """Return the ids of the byte pieces (`<0x0A>`) if all 256 are consecutive, else an empty tuple."""
        if self._separate:
            return ()
        found = self._theirs.convert_tokens_to_ids([f"<0x{octet:02X}>" for octet in range(256)])
        first = found[0]
        return tuple(found) if first is not None and found == list(range(first, first + 256)) else ()

    @property
    def joint(self) -> bool:
        """Whether source and target share one vocabulary."""
        return not self._separate

    @property
    def languages(self) -> tuple[str, ...]:
        """Empty: the languages are fixed in the options."""
        return ()

    def encode_source(self, text: str, language: str | None = None) -> Encoded:
        """Return the ids that the encoder reads for a source segment, without slots; an empty text has no ids."""
        text = normalise(text)
        if not text:
            return Encoded([], ())
        ids = self._theirs(self._options.prefix + text, add_special_tokens=False).input_ids
        return Encoded([*self._before, *self._plain("source", ids, self.source_vocab_size), *self._after], ())

    def encode_target(self, text: str, slots: Sequence[str], language: str | None = None) -> list[int]:
        """Return the ids of a target segment, starting with `prefix()`, without BOS and EOS."""
        ids = self._theirs(text_target=normalise(text), add_special_tokens=False).input_ids
        return [*self._prefix, *self._plain("target", ids, self.target_vocab_size)]

    def _plain(self, side: str, ids: list[int], size: int) -> list[int]:
        """Return the ids of a text with special ones replaced by UNK."""
        if ids and max(ids) >= size:
            raise TokenizerError(
                f"{self._folder}: its tokenizer gives the {side} id {max(ids)}, but its network has only {size} ids: "
                "they do not match"
            )
        return [self.symbols.unk if index in self._special else index for index in ids]

    def prefix(self, language: str | None = None) -> list[int]:
        """Return the ids that every target begins with: a language code or a start symbol, depending on the model."""
        return list(self._prefix)

    def decode(self, ids: Sequence[int], slots: Sequence[str]) -> str:
        """Return the normalised text of target ids, without special ids and the prefix."""
        return normalise(self.spell(ids))

    def spell(self, ids: Sequence[int]) -> str:
        """Return the text of target ids without normalisation."""
        known = len(self._theirs.target_encoder) if self._separate else len(self._theirs)
        kept = [index for index in ids if index < known]  # the embeddings may have more rows than there are pieces
        how = {"use_source_tokenizer": False} if hasattr(self._theirs, "spm_target") else {}
        text: str = self._theirs.decode(kept, skip_special_tokens=True, clean_up_tokenization_spaces=False, **how)
        return text

    def subword_sampler(self, side: Literal["source", "target"], alpha: float) -> SampleSubwords:
        """Return `unchanged`: subword sampling is not supported for these tokenizers."""
        return unchanged

    def source_pieces(self, ids: Sequence[int]) -> list[str]:
        """Return the written form of each source id, with a space shown as U+2581."""
        if not self._separate:
            return self.target_pieces(ids)
        written = {index: piece for piece, index in self._theirs.encoder.items()}
        return [written.get(index, self._theirs.unk_token) for index in ids]

    def target_pieces(self, ids: Sequence[int]) -> list[str]:
        """Return the written form of each target id."""
        known = len(self._theirs.target_encoder) if self._separate else len(self._theirs)
        pieces = [self._theirs.convert_ids_to_tokens(index) if index < known else "" for index in ids]
        return [piece.replace("Ġ", "▁") if self._byte_level else piece for piece in pieces]

    def save(self, folder: Path) -> None:
        """Write tokenizer.json and the files of the wrapped tokenizer into `folder`, atomically."""
        files = {path.name: path.read_bytes() for path in sorted(self._folder.iterdir()) if _belongs(path)}
        description = {
            "format": FORMAT,
            "name": self.name,
            **self._options._asdict(),
            **stored_forms(self.forms),
            "source_vocab_size": self.source_vocab_size,
            "target_vocab_size": self.target_vocab_size,
            "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        }
        beside = folder.with_name(folder.name + ".part")
        shutil.rmtree(beside, ignore_errors=True)
        (beside / FOLDER).mkdir(parents=True)
        try:
            for name, content in files.items():
                (beside / FOLDER / name).write_bytes(content)
            text = json.dumps(description, indent=2, ensure_ascii=False) + "\n"
            (beside / DESCRIPTION).write_text(text, encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            beside.rename(folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    @classmethod
    def load(cls, folder: Path, description: dict[str, Any]) -> Self:
        """Load a tokenizer that `save` wrote; `description` is the content of its tokenizer.json.

        Raises:
            TokenizerError: a file is missing or damaged.
        """
        try:
            hashes = dict(description["sha256"])
            options = PretrainedOptions(*(description[field] for field in PretrainedOptions._fields))
            forms = read_forms(description)
        except (KeyError, TypeError, ValueError) as error:
            raise TokenizerError(f"{folder / DESCRIPTION}: does not describe a tokenizer ({error!r})") from error
        for name, sha256 in hashes.items():
            path = folder / FOLDER / Path(name).name
            try:
                content = path.read_bytes()
            except OSError as error:
                raise TokenizerError(f"{path}: cannot be read: {error}") from error
            if hashlib.sha256(content).hexdigest() != sha256:
                raise TokenizerError(f"{path}: damaged: its hash is not the one in {DESCRIPTION}")
        return cls(folder / FOLDER, options, forms)


def _belongs(path: Path) -> bool:
    return path.is_file() and not path.name.endswith(_WEIGHTS)


def _decoder_start(folder: Path, config: Any) -> int | None:
    """Return the id that the decoder reads before its first token, by the rules of `generate`."""
    stored: dict[str, Any] = {}
    file = folder / "generation_config.json"
    if file.is_file():
        try:
            stored = dict(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise TokenizerError(f"{file}: cannot be read: {error}") from error
    places = [(stored.get(name), getattr(config, name, None)) for name in ("decoder_start_token_id", "bos_token_id")]
    return next((int(start) for place in places for start in place if start is not None), None)
