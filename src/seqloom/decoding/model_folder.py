"""What a model folder holds, read and checked: the network, its tokenizer, its search and its languages."""

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
"""How a folder without search.json is searched."""


class Languages(NamedTuple):
    """The languages that a model reads and those that it writes: every combination of two is a direction."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]

    @property
    def directions(self) -> list[Direction]:
        """Every source with every other target; a language with itself where it is alone on both sides."""
        every = [Direction(source, target) for source in self.sources for target in self.targets]
        return [each for each in every if each.source != each.target] or every

    @property
    def source(self) -> str:
        """The language that is read, where there is one alone; raises `ModelError` where there are several."""
        return _alone("reads", self.sources)

    @property
    def target(self) -> str:
        """The language that is written, where there is one alone; raises `ModelError` where there are several."""
        return _alone("writes", self.targets)


class ModelFolder(NamedTuple):
    """Everything that a folder holds."""

    model: Seq2Seq
    tokenizer: Tokenizer
    search: SearchSettings
    languages: Languages


def read_folder(folder: Path, device: torch.device | str) -> ModelFolder:
    """Read a folder that train_model or the registry wrote; without search.json its search is the default.

    Raises:
        ModelError: the folder holds no model, or a broken one.
        TokenizerError: its tokenizer cannot be loaded.
    """
    if not folder.is_dir():
        raise ModelError(f"{folder}: is not a folder with a model; `dvc repro` trains one into models/candidate")
    languages = _languages(folder / LANGUAGES_FILE)
    model = load_model(folder, device)
    search = _search(folder / SEARCH_FILE)
    tokenizer = load_tokenizer(folder / TOKENIZER_FOLDER)
    for side in ("source_vocab_size", "target_vocab_size"):
        ours, theirs = getattr(model, side), getattr(tokenizer, side)
        if ours != theirs:
            raise ModelError(f"{folder}: the model's {side} is {ours}, its tokenizer's {theirs}: they do not match")
    return ModelFolder(model, tokenizer, search, languages)


def read_longest_source(folder: Path) -> int | None:
    """Return the tokens of the longest source that training saw; None if an older version wrote the folder.

    Raises:
        ModelError: the file is broken.
    """
    path = folder / LENGTHS_FILE
    if not path.exists():
        return None
    content = _read(path)
    longest = content.get("source") if isinstance(content, dict) else None
    if not isinstance(longest, int) or isinstance(longest, bool) or longest < 1:
        raise ModelError(f'{path}: must look like {{"source": 128, "target": 160}}: tokens of the longest segments')
    return longest


def check_same_tokenizer(folder: Path, other: Path) -> None:
    """Raise `ModelError` unless both model folders hold the same tokenizer, byte for byte."""
    if _hashes(folder / TOKENIZER_FOLDER) != _hashes(other / TOKENIZER_FOLDER):
        raise ModelError(f"{other}: has another tokenizer than {folder}; an ensemble needs models of one vocabulary")


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _alone(does: str, languages: tuple[str, ...]) -> str:
    if len(languages) > 1:
        raise ModelError(f"the model {does} several languages, {', '.join(languages)}; say which one is meant")
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
        raise ModelError(f"{path.parent}: is not a model folder: {path.name} is missing") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: cannot be read: {error}") from error
