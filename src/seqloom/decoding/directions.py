"""Texts of several directions through one model: each in its own, the result in their order. It knows no scores."""

from collections.abc import Sequence

from seqloom.decoding.translator import Translation, Translator
from seqloom.languages import Direction
from seqloom.progress import Listener, Progress, ignore


def translate_each(
    translator: Translator, sources: Sequence[str], directions: Sequence[Direction], listen: Listener = ignore
) -> list[Translation]:
    """Translate each source in its direction; the result is in their order.

    Raises what `Translator.hypotheses` raises.
    """
    found: list[Translation | None] = [None] * len(sources)
    distinct = dict.fromkeys(directions)
    for direction in distinct:
        rows = [row for row, each in enumerate(directions) if each == direction]

        def tell(progress: Progress, direction: Direction = direction) -> None:
            listen(progress if len(distinct) == 1 else progress._replace(task=f"{progress.task} {direction}"))

        best = translator.hypotheses([sources[row] for row in rows], listen=tell, language=direction.target)
        for row, hypotheses in zip(rows, best, strict=True):
            found[row] = hypotheses[0]
    return [each for each in found if each is not None]
