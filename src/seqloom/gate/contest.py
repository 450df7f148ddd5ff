"""Two versions at work on one test set: what they write, how well, how fast and how large they are.

A contestant is loaded from the folder that everybody who uses the version loads, with its own settings of the search,
so that what is judged is what will be served. Speed is measured on a part of the test set, by turns, and of each the
best turn counts: what else a machine does can only slow a turn down.
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
    """The test set that both have to translate: sources, references and directions in one order."""

    sources: Sequence[str]
    references: Sequence[str]
    directions: Sequence[Direction]

    def take(self, rows: Sequence[int]) -> "Contest":
        """The segments of those indices."""
        return Contest(
            [self.sources[row] for row in rows],
            [self.references[row] for row in rows],
            [self.directions[row] for row in rows],
        )


class Contestant(NamedTuple):
    """A version that is loaded."""

    translator: TextTranslator
    size: int  # bytes of its folder

    @classmethod
    def load(cls, folder: Path, device: str) -> Self:
        """Load a model folder. Raises `ModelError` or `TokenizerError` where it is broken."""
        translator = TextTranslator.load(folder, device)
        return cls(translator, sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()))

    def write(self, sources: Sequence[str], directions: Sequence[Direction], listen: Listener = ignore) -> list[str]:
        """Translate. Raises `EvaluationError` where the output is not a number, and `ModelError`."""
        if strange := set(directions) - set(self.translator.languages.directions):
            raise ModelError(f"it does not translate {', '.join(sorted(map(str, strange)))}")
        return [found.text for found in translate_each(self.translator, sources, directions, listen)]


class Performance(NamedTuple):
    """What a contestant showed."""

    segments: Segments
    scores: Scores
    size: int  # bytes


def speeds(contestants: Sequence[Contestant], contest: Contest) -> list[float]:
    """How many segments a second each contestant translates, measured by turns."""
    step = max(1, len(contest.sources) // SPEED_SEGMENTS)
    sources, directions = contest.sources[::step], contest.directions[::step]
    best = [float("inf")] * len(contestants)
    for _ in range(TURNS):
        for place, contestant in enumerate(contestants):
            began = time.perf_counter()
            contestant.write(sources, directions)
            best[place] = min(best[place], time.perf_counter() - began)
    return [len(sources) / seconds for seconds in best]
