"""Translate texts of several directions with one model."""

from collections.abc import Sequence

from seqloom.languages import Direction
from seqloom.progress import Listener, Progress, ignore
from seqloom.translation.results import Result
from seqloom.translation.texts import TextTranslator


def translate_each(
    translator: TextTranslator, sources: Sequence[str], directions: Sequence[Direction], listen: Listener = ignore
) -> list[Result]:
    """Translate each source in its direction, and return the results in the order of the sources.

    Raises the same errors as `TextTranslator.hypotheses`.
    """
    found: list[Result | None] = [None] * len(sources)
    distinct = dict.fromkeys(directions)
    for direction in distinct:
        rows = [row for row, each in enumerate(directions) if each == direction]

        def report(progress: Progress, direction: Direction = direction) -> None:
            listen(progress if len(distinct) == 1 else progress._replace(task=f"{progress.task} {direction}"))

        results = translator.translate([sources[row] for row in rows], report, direction.target)
        for row, result in zip(rows, results, strict=True):
            found[row] = result
    return [each for each in found if each is not None]
