"""A model as the server uses it: loaded from its folder, and called from worker threads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from seqloom.decoding.settings import SearchSettings
from seqloom.errors import ModelError, RequestError, TooLongError
from seqloom.export.loading import fast_search
from seqloom.languages import Direction
from seqloom.serving.masking import mask
from seqloom.serving.service import Picture
from seqloom.translation.results import Result
from seqloom.translation.texts import TextTranslator

MOST_PIECES = 100
"""Pieces of a text, and of its translation, whose attention is returned."""

_SMALL = 2_000_000
"""Weights. With fewer (1.5 million were tried), a server loses time by dividing matrices between cores."""


class Engine:
    """Translates texts with a model folder."""

    def __init__(self, translator: TextTranslator, folder: Path) -> None:
        self._translator, self._folder = translator, folder
        self.directions: tuple[Direction, ...] = tuple(translator.languages.directions)

    @classmethod
    def load(cls, folder: Path, device: str = "auto") -> Self:
        """Load a model folder.

        Raises:
            ModelError: it cannot be loaded.
            TokenizerError: its tokenizer cannot be loaded.
        """
        engine = cls.on_torch(folder, device)
        engine.accelerate()
        return engine

    @classmethod
    def on_torch(cls, folder: Path, device: str = "auto") -> Self:
        """Load a model folder without its export. For the errors see `load`."""
        return cls(TextTranslator.load(folder, device), folder)

    def accelerate(self) -> None:
        """Search with the folder's export, if it has one that can be used. Raises `ModelError` if it is damaged."""
        translator = self._translator.translator
        translator.engine = fast_search(self._folder, translator.device)

    @property
    def lanes(self) -> int:
        """How many threads may call `translate` at the same time.

        With an export two: CTranslate2 searches for one of them while Python prepares or completes texts of the other.
        """
        return 1 if self._translator.translator.engine is None else 2

    @property
    def small(self) -> bool:
        """Whether torch searches, and the network is so small that one core is faster than several."""
        translator = self._translator.translator
        return translator.engine is None and sum(each.numel() for each in translator.model.parameters()) < _SMALL

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

    def close(self) -> None:
        """Do nothing: the memory is freed with the object."""


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
