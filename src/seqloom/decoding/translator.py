"""Text in, text out: a model, its tokenizer and a search together. It knows no corpus and no scores.

Sentences are decoded in batches of similar length, longest first, so that little is padding and a lack of memory shows
at once. The result keeps the order of the texts, and does not depend on what else is in a batch (up to the rounding of
sums whose order a batch's shape decides).
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import torch
from pydantic import ValidationError

from seqloom.decoding.search import beam_search
from seqloom.decoding.settings import SearchSettings
from seqloom.errors import ModelError
from seqloom.models.catalogue import load_model
from seqloom.models.seq2seq import Seq2Seq
from seqloom.progress import Listener, Progress, ignore
from seqloom.tokenization.catalogue import load_tokenizer
from seqloom.tokenization.tokenizer import PAD, Tokenizer

LANGUAGES_FILE = "languages.json"
SEARCH_FILE = "search.json"
TOKENIZER_FOLDER = "tokenizer"

DEFAULT_SEARCH = SearchSettings(
    beam=5, length_penalty=1.0, max_length_ratio=2.0, max_length_extra=20, batch_tokens=8192
)
"""How a folder without search.json is searched."""


class Direction(NamedTuple):
    """What a model reads and what it writes, as language codes."""

    source: str
    target: str


class Translator:
    """Translates texts with a model; made of its parts, or with `load` of a folder."""

    def __init__(
        self,
        model: Seq2Seq,
        tokenizer: Tokenizer,
        search: SearchSettings,
        languages: Direction,
        device: torch.device | str = "auto",
    ) -> None:
        self.device = pick_device(device)
        self.model = model.to(self.device).eval()
        self.tokenizer = tokenizer
        self.search = search
        self.languages = languages

    @classmethod
    def load(cls, folder: Path, device: torch.device | str = "auto", search: SearchSettings | None = None) -> Self:
        """Load a folder that train_model or the registry wrote; without `search`, as its search.json says.

        Raises:
            ModelError: the folder holds no model, or a broken one, or the device does not exist.
            TokenizerError: its tokenizer cannot be loaded.
        """
        if not folder.is_dir():
            raise ModelError(f"{folder}: is not a folder with a model; `dvc repro` trains one into models/candidate")
        languages = _read(folder / LANGUAGES_FILE)
        if not isinstance(languages, dict) or not all(isinstance(languages.get(f), str) for f in Direction._fields):
            raise ModelError(f'{folder / LANGUAGES_FILE}: must look like {{"source": "en", "target": "de"}}')
        if search is None:
            search = _search(folder / SEARCH_FILE)
        place = pick_device(device)
        model = load_model(folder, place)
        tokenizer = load_tokenizer(folder / TOKENIZER_FOLDER)
        for side in ("source_vocab_size", "target_vocab_size"):
            ours, theirs = getattr(model, side), getattr(tokenizer, side)
            if ours != theirs:
                raise ModelError(f"{folder}: the model's {side} is {ours}, its tokenizer's {theirs}: they do not match")
        return cls(model, tokenizer, search, Direction(languages["source"], languages["target"]), place)

    def translate(self, texts: Sequence[str], listen: Listener = ignore) -> list[str]:
        """Return the translation of each text, in their order; a text without content gives an empty string.

        A text of any length is translated; one that exceeds `search.batch_tokens` is a batch of its own.

        Raises:
            EvaluationError: the model's output is not a number.
        """
        encoded = [self.tokenizer.encode_source(text) for text in texts]
        translations = [""] * len(texts)
        done = sum(not each.ids for each in encoded)
        listen(Progress("translate", done, len(texts), "sentences"))
        for batch in _batches([len(each.ids) for each in encoded], self.search.batch_tokens // self.search.beam):
            for index, ids in zip(batch, self._decode([encoded[i].ids for i in batch]), strict=True):
                translations[index] = self.tokenizer.decode(ids, encoded[index].slots)
            done += len(batch)
            listen(Progress("translate", done, len(texts), "sentences"))
        return translations

    @torch.inference_mode()
    def _decode(self, sources: list[list[int]]) -> list[list[int]]:
        """The best target ids of each source."""
        lengths = torch.tensor([len(ids) for ids in sources])
        padded = torch.full((len(sources), int(lengths.max())), PAD)
        for row, ids in zip(padded, sources, strict=True):
            row[: len(ids)] = torch.tensor(ids)
        limits = (lengths * self.search.max_length_ratio).long() + self.search.max_length_extra
        state = self.model.start(padded.to(self.device), lengths.to(self.device))
        found = beam_search(
            self.model.step, state, rows=len(sources), max_lengths=limits.to(self.device), settings=self.search
        )
        return [hypotheses[0].ids for hypotheses in found]


def pick_device(device: torch.device | str) -> torch.device:
    """The device of a name; "auto" is the GPU if there is one. Raises `ModelError` where it does not exist."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise ModelError(f"device {device!r} is not one; valid are auto, cpu and cuda") from error
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ModelError(f"device {str(device)!r} is not there: torch sees no GPU; use auto or cpu")
    return place


def _batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Indices of the texts with a length above 0, longest first, cut so that rows times the longest fits `budget`."""
    order = sorted((i for i, length in enumerate(lengths) if length), key=lambda i: (-lengths[i], i))
    first = 0
    while first < len(order):
        rows = max(1, budget // lengths[order[first]])
        yield order[first : first + rows]
        first += rows


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{path.parent}: is not a model folder: {path.name} is missing") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read: {error}") from error


def _search(path: Path) -> SearchSettings:
    if not path.exists():
        return DEFAULT_SEARCH
    try:
        return SearchSettings.model_validate(_read(path))
    except ValidationError as error:
        fault = error.errors()[0]
        raise ModelError(f"{path}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}") from error
