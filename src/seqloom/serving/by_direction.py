"""Translate texts that are in different languages: one query for each direction."""

from collections.abc import Sequence
from typing import NamedTuple

from starlette.requests import Request

from seqloom.languages import Direction
from seqloom.serving.interface import Context
from seqloom.serving.matching import find_detected, find_direction
from seqloom.serving.service import Query, Service


class Translated(NamedTuple):
    """The best translations of texts, in their order."""

    texts: list[str]
    version: str  # of all models that took part, with ", " between; empty without texts


async def translate_texts(
    context: Context, request: Request, texts: Sequence[str], directions: Sequence[Direction], client: str
) -> Translated:
    """Translate each text in its direction. For the errors see `Context.translate`."""
    distinct = list(dict.fromkeys(directions))
    rows = [[row for row, each in enumerate(directions) if each == direction] for direction in distinct]
    queries = [
        Query(tuple(texts[row] for row in part), direction, client=client)
        for part, direction in zip(rows, distinct, strict=True)
    ]
    answers = await context.translate(request, *queries) if queries else []
    found = {
        row: best.text
        for part, answer in zip(rows, answers, strict=True)
        for row, (best, *_) in zip(part, answer.results, strict=True)
    }
    versions = dict.fromkeys(answer.version for answer in answers)
    return Translated([found[row] for row in range(len(texts))], ", ".join(versions))


def directions_of(service: Service, texts: Sequence[str], source: str | None, target: str) -> list[Direction]:
    """Return the direction of each text: from `source`, or from the language detected in it.

    Raises:
        DirectionError: no model translates into the target, or not from `source`.
    """
    served = service.directions()
    if source is not None:
        return [find_direction(served, source, target)] * len(texts)
    return [find_detected(served, service.detect(text), target)[0] for text in texts]
