"""The step that translates a shard of texts with a model folder.

A shard is a file with a line per text: the text, a TAB, and its reference, which is empty if there is none. Its result
is a file with a line per text: the translation, a TAB, and why the pair must not be used, which is empty if it may.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from seqloom.decoding.settings import SearchSettings
from seqloom.errors import ModelError
from seqloom.files import hashes_of
from seqloom.languages import Direction
from seqloom.sharding.step import Function
from seqloom.sharding.threads import one_thread
from seqloom.synthesis.choosing import Similarity, most_similar, similarity
from seqloom.translation.results import Flag, Result

TRANSLATIONS = "translations.tsv"
_FAULTS = (Flag.CUT, Flag.LOOPED, Flag.PLACEHOLDERS)
_EMPTY = "empty"


@dataclass(frozen=True)
class TranslateTexts:
    """Translates texts in a direction; of `n_best` translations, the one most similar to the reference is taken.

    If `confident`, translations of low probability are not used. Samples, and sources that a model writes, may be.
    """

    model: Path
    direction: Direction
    search: SearchSettings
    device: str = "cpu"
    n_best: int = 1
    similarity: Similarity = "chrf"
    confident: bool = True

    @property
    def name(self) -> str:
        """The name in progress reports."""
        return "translate texts"

    @cached_property
    def _hashes(self) -> dict[str, str]:
        return hashes_of(self.model)

    def identity(self) -> dict[str, Any]:
        """Return everything that the translations depend on, with the hashes of the model's files."""
        choice = {"n_best": self.n_best, "similarity": self.similarity if self.n_best > 1 else None}
        search = self.search.model_dump(mode="json")
        return {
            "model": self._hashes,
            "language": self.direction.target,
            "search": search,
            "device": self.device,
            "confident": self.confident,
            **choice,
        }

    def start(self) -> Function:
        """Load the model.

        Raises:
            ModelError: it cannot be loaded, or does not translate in the direction.
        """
        from seqloom.translation.texts import TextTranslator  # imports torch

        with one_thread():
            translator = TextTranslator.load(self.model, self.device, self.search, engine="auto")
        if self.direction not in (known := translator.languages.directions):
            raise ModelError(f"{self.model}: does not translate {self.direction}, only {', '.join(map(str, known))}")
        score = similarity(self.similarity)

        def translate(shard: Path, folder: Path) -> int:
            rows = read_rows(shard)
            with one_thread():
                found = translator.hypotheses([text for text, _ in rows], self.n_best, language=self.direction.target)
            lines = []
            for (_, reference), results in zip(rows, found, strict=True):
                # In a file of pairs, a line break or tab, which a copied tag may hold, would end the text.
                texts = [" ".join(each.text.split()) for each in results]
                best = most_similar(texts, reference, score)
                lines.append((texts[best], self._fault(results[best])))
            write_rows(folder / TRANSLATIONS, lines)
            return len(lines)

        return translate

    def _fault(self, result: Result) -> str:
        """Return why the translation must not be used; empty if it may."""
        if not result.text.strip():
            return _EMPTY
        faults = (*_FAULTS, Flag.LOW_CONFIDENCE) if self.confident else _FAULTS
        return next((flag.value for flag in faults if flag in result.flags), "")


def read_rows(path: Path) -> list[tuple[str, str]]:
    """Return the lines of a shard or of a result, each with its two columns."""
    with path.open(encoding="utf-8", newline="\n") as file:
        return [(first, second) for first, _, second in (line.rstrip("\n").partition("\t") for line in file)]


def write_rows(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """Write lines of two columns, which must contain no TAB or line break."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{first}\t{second}\n" for first, second in rows)
