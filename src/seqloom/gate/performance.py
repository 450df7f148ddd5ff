"""Measure versions on one test set: their translations, scores, speed and size.

Each version is loaded from the folder that its users load, with its own search settings and its export if it has one,
so that the gate judges what will be served. Speed is measured on a sample of the test set, in alternating rounds. The
fastest round of each version is used, because other work on the machine can only slow a round down.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

from seqloom.errors import ModelError
from seqloom.evaluation.scores import Scores
from seqloom.evaluation.segments import Segments
from seqloom.languages import Direction
from seqloom.progress import Listener, ignore
from seqloom.translation.directions import translate_each
from seqloom.translation.texts import TextTranslator

SPEED_SEGMENTS, ROUNDS = 200, 3


class EvaluationSet(NamedTuple):
    """The test set that both versions translate: one source, reference and direction per segment."""

    sources: Sequence[str]
    references: Sequence[str]
    directions: Sequence[Direction]

    def take(self, rows: Sequence[int]) -> "EvaluationSet":
        """Return the segments with the given indices."""
        return EvaluationSet(
            [self.sources[row] for row in rows],
            [self.references[row] for row in rows],
            [self.directions[row] for row in rows],
        )


class LoadedVersion(NamedTuple):
    """A loaded model version."""

    translator: TextTranslator
    size: int  # bytes of its folder

    @classmethod
    def load(cls, folder: Path, device: str) -> Self:
        """Load a model folder.

        Raises:
            ModelError: the model cannot be loaded.
            TokenizerError: its tokenizer cannot be loaded.
        """
        translator = TextTranslator.load(folder, device, engine="auto")
        return cls(translator, sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()))

    def translate(
        self, sources: Sequence[str], directions: Sequence[Direction], listen: Listener = ignore
    ) -> list[str]:
        """Translate each source in its direction.

        Raises:
            EvaluationError: the model's output is not a number.
            ModelError: the model does not support one of the directions.
        """
        if unsupported := set(directions) - set(self.translator.languages.directions):
            raise ModelError(f"the model does not translate {', '.join(sorted(map(str, unsupported)))}")
        return [found.text for found in translate_each(self.translator, sources, directions, listen)]


class Performance(NamedTuple):
    """The measurements of a version."""

    segments: Segments
    scores: Scores
    size: int  # bytes


def speeds(versions: Sequence[LoadedVersion], test_set: EvaluationSet) -> list[float]:
    """Return how many segments per second each version translates, measured in alternating rounds."""
    step = max(1, len(test_set.sources) // SPEED_SEGMENTS)
    sources, directions = test_set.sources[::step], test_set.directions[::step]
    best = [float("inf")] * len(versions)
    for _ in range(ROUNDS):
        for place, version in enumerate(versions):
            began = time.perf_counter()
            version.translate(sources, directions)
            best[place] = min(best[place], time.perf_counter() - began)
    return [len(sources) / seconds for seconds in best]
