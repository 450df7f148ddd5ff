"""A model as the server uses it: loaded from its folder, tried, and called from one thread."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from seqloom.decoding.settings import SearchSettings
from seqloom.errors import ModelError, RequestError, TooLongError
from seqloom.languages import Direction
from seqloom.serving.masking import mask
from seqloom.serving.service import Picture
from seqloom.translation.results import Result
from seqloom.translation.texts import TextTranslator

MOST_PIECES = 100
"""Pieces of a text, and of its translation, whose attention is returned."""
_TRIALS = ("OK", "The file {name} was not found.", "3 of 12", "Settings were saved. You can close this window now.")


class Engine:
    """Translates texts with a model folder."""

    def __init__(self, translator: TextTranslator) -> None:
        self._translator = translator
        self.directions: tuple[Direction, ...] = tuple(translator.languages.directions)

    @classmethod
    def load(cls, folder: Path, device: str = "auto") -> Self:
        """Load a model folder. Raises `ModelError` or `TokenizerError` if it cannot be loaded."""
        return cls(TextTranslator.load(folder, device, engine="auto"))

    def translate(self, texts: Sequence[str], direction: Direction, n_best: int) -> list[list[Result]]:
        """Return for each text up to `n_best` distinct translations, best first.

        Raises the errors of `TextTranslator.hypotheses`.
        """
        translator = self._translator.with_search(_wide(self._translator.search, n_best))
        masked = [mask(text, translator.translator.tokenizer.forms) for text in texts]
        found = translator.hypotheses([each.text for each in masked], n_best, language=direction.target)
        return [
            _distinct([result._replace(text=each.restore(result.text)) for result in results])
            for each, results in zip(masked, found, strict=True)
        ]

    def attention(self, text: str, translation: str, direction: Direction) -> Picture:
        """Return the attention of torch's model to `text` while it writes `translation`.

        Raises:
            RequestError: the model has no attention, or the text is empty.
            TooLongError: one of them has more than `MOST_PIECES` pieces.
        """
        translator, language = self._translator.translator, direction.target
        source = translator.tokenizer.encode_source(text, language)
        target = translator.tokenizer.encode_target(translation, source.slots, language)
        if (pieces := max(len(source.ids), len(target))) > MOST_PIECES:
            raise TooLongError(f"attention is shown for up to {MOST_PIECES} pieces; this sentence has {pieces}")
        try:
            seen = translator.attention(text, target, language)
        except ModelError as error:
            raise RequestError(str(error)) from error
        return Picture(seen.source, seen.target, seen.weights.tolist())

    def check(self, direction: Direction, results: Sequence[Sequence[Result]]) -> None:
        """Check the translations of `trials`. Raises `ModelError` if the model does not work."""
        best = [found[0] for found in results]
        if not any(result.text.strip() for result in best):
            raise ModelError(f"{direction}: the model translates {len(best)} texts on trial into nothing")
        if not all(math.isfinite(result.score) for result in best):
            raise ModelError(f"{direction}: the model's probabilities are not numbers")

    @property
    def trials(self) -> tuple[str, ...]:
        """Texts that a new version must translate before it is used. They also warm it up."""
        return _TRIALS


def _wide(search: SearchSettings, n_best: int) -> SearchSettings:
    """Return search settings that find at least `n_best` hypotheses."""
    if search.method in ("beam", "generate") and search.beam < n_best:
        return search.model_copy(update={"beam": n_best})
    return search


def _distinct(results: list[Result]) -> list[Result]:
    first: dict[str, Result] = {}
    for result in results:
        first.setdefault(result.text, result)
    return list(first.values())
