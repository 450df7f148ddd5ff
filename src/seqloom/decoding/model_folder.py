"""Read and check a model folder: the network, its tokenizer, search settings and languages."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import ValidationError

from seqloom.decoding.settings import SearchSettings
from seqloom.errors import ModelError
from seqloom.languages import Direction
from seqloom.models.catalogue import load_model
from seqloom.models.seq2seq import Seq2Seq
from seqloom.tokenization.catalogue import load_tokenizer
from seqloom.tokenization.tokenizer import Tokenizer

LANGUAGES_FILE = "languages.json"
LENGTHS_FILE = "lengths.json"
SEARCH_FILE = "search.json"
TOKENIZER_FOLDER = "tokenizer"

DEFAULT_SEARCH = SearchSettings(
    method="beam", beam=5, normalization="wu", length_penalty=1.0, early_stopping=False, min_length_ratio=0.0,
    min_length_extra=0, max_length_ratio=2.0, max_length_extra=20, no_repeat_ngram=0, temperature=1.0, top_k=None,
    top_p=1.0, samples=32, seed=1, batch_tokens=8192,
)  # fmt: skip
"""The search settings of a folder without search.json."""


class Languages(NamedTuple):
    """The source and target languages of a model; every combination is a direction."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]

    @property
    def directions(self) -> list[Direction]:
        """All pairs of different languages; if there are none, the language with itself."""
        every = [Direction(source, target) for source in self.sources for target in self.targets]
        return [each for each in every if each.source != each.target] or every

    @property
    def source(self) -> str:
        """The only source language. Raises `ModelError` if there are several."""
        return _alone("reads", self.sources)

    @property
    def target(self) -> str:
        """The only target language. Raises `ModelError` if there are several."""
        return _alone("writes", self.targets)


class ModelFolder(NamedTuple):
    """The content of a model folder."""

    model: Seq2Seq
    tokenizer: Tokenizer
    search: SearchSettings
    languages: Languages


def read_folder(folder: Path, device: torch.device | str) -> ModelFolder:
    """Read a folder that train_model or the registry wrote. Without search.json, the search is `DEFAULT_SEARCH`.

    Raises:
        ModelError: the folder has no model, or an invalid one.
        TokenizerError: its tokenizer cannot be loaded.
    """
    if not folder.is_dir():
        raise ModelError(f"{folder}: is not a model folder; `dvc repro` trains a model into models/candidate")
    languages = _languages(folder / LANGUAGES_FILE)
    model = load_model(folder, device)
    search = _search(folder / SEARCH_FILE)
    tokenizer = load_tokenizer(folder / TOKENIZER_FOLDER)
    for side in ("source_vocab_size", "target_vocab_size"):
        ours, theirs = getattr(model, side), getattr(tokenizer, side)
        if ours != theirs:
            raise ModelError(f"{folder}: the model's {side} is {ours}, but its tokenizer's is {theirs}")
    return ModelFolder(model, tokenizer, search, languages)


def read_longest_source(folder: Path) -> int | None:
    """Return the number of tokens of the longest source in training, or None if an older version wrote the folder.

    Raises:
        ModelError: the file is invalid.
    """
    path = folder / LENGTHS_FILE
    if not path.exists():
        return None
    content = _read(path)
    longest = content.get("source") if isinstance(content, dict) else None
    if not isinstance(longest, int) or isinstance(longest, bool) or longest < 1:
        raise ModelError(f'{path}: must look like {{"source": 128, "target": 160}}, the tokens of the longest segments')
    return longest


def check_same_tokenizer(folder: Path, other: Path) -> None:
    """Raise `ModelError` unless both model folders hold the same tokenizer, byte for byte."""
    if _hashes(folder / TOKENIZER_FOLDER) != _hashes(other / TOKENIZER_FOLDER):
        raise ModelError(f"{other}: has another tokenizer than {folder}; an ensemble needs models with the same one")


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _alone(does: str, languages: tuple[str, ...]) -> str:
    if len(languages) > 1:
        raise ModelError(f"the model {does} several languages, {', '.join(languages)}; choose one")
    return languages[0]


def _languages(path: Path) -> Languages:
    content = _read(path)
    sides = [content.get(side) for side in Direction._fields] if isinstance(content, dict) else []
    listed = [tuple(side) if isinstance(side, list) else (side,) for side in sides]
    if not listed or not all(side and all(isinstance(each, str) for each in side) for side in listed):
        raise ModelError(f'{path}: must look like {{"source": "en", "target": "de"}}; each may be a list of languages')
    return Languages(*listed)


def _search(path: Path) -> SearchSettings:
    if not path.exists():
        return DEFAULT_SEARCH
    try:
        return SearchSettings.model_validate(_read(path))
    except ValidationError as error:
        fault = error.errors()[0]
        raise ModelError(f"{path}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}") from error


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{path.parent}: is not a model folder, because {path.name} is missing") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: cannot be read: {error}") from error
