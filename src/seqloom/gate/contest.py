"""Measure versions on one test set: their translations, scores, speed and size.

Each version is loaded from the folder that its users load, with its own search settings, so that the gate judges what
will be served. Speed is measured on a sample of the test set, in alternating rounds. The fastest round of each version
counts, because other work on the machine can only slow a round down.
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

SPEED_SEGMENTS, TURNS = 200, 3


class Contest(NamedTuple):
    """The test set that both versions translate: one source, reference and direction per segment."""

    sources: Sequence[str]
    references: Sequence[str]
    directions: Sequence[Direction]

    def take(self, rows: Sequence[int]) -> "Contest":
        """Return the segments with the given indices."""
        return Contest(
            [self.sources[row] for row in rows],
            [self.references[row] for row in rows],
            [self.directions[row] for row in rows],
        )


class Contestant(NamedTuple):
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
        translator = TextTranslator.load(folder, device)
        return cls(translator, sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()))

    def write(self, sources: Sequence[str], directions: Sequence[Direction], listen: Listener = ignore) -> list[str]:
        """Translate each source in its direction.

        Raises:
            EvaluationError: the model's output is not a number.
            ModelError: the model does not support one of the directions.
        """
        if strange := set(directions) - set(self.translator.languages.directions):
            raise ModelError(f"the model does not translate {', '.join(sorted(map(str, strange)))}")
        return [found.text for found in translate_each(self.translator, sources, directions, listen)]


class Performance(NamedTuple):
    """The measurements of a version."""

    segments: Segments
    scores: Scores
    size: int  # bytes


def speeds(contestants: Sequence[Contestant], contest: Contest) -> list[float]:
    """Return how many segments per second each version translates, measured in alternating rounds."""
    step = max(1, len(contest.sources) // SPEED_SEGMENTS)
    sources, directions = contest.sources[::step], contest.directions[::step]
    best = [float("inf")] * len(contestants)
    for _ in range(TURNS):
        for place, contestant in enumerate(contestants):
            began = time.perf_counter()
            contestant.write(sources, directions)
            best[place] = min(best[place], time.perf_counter() - began)
    return [len(sources) / seconds for seconds in best]
