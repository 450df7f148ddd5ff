"""Translate texts whose source languages may be unknown: each in the direction detected for it."""

from collections.abc import Sequence
from typing import NamedTuple

from seqloom.errors import DirectionError
from seqloom.languages import Direction
from seqloom.serving.service import Detected, Query, Service
from seqloom.translation.results import Result


class Wanted(NamedTuple):
    """What a caller wants of texts."""

    target: str  # a served language
    n_best: int = 1
    client: str = ""


class Translated(NamedTuple):
    """The translations of texts, in their order."""

    results: list[list[Result]]  # as in `Answer`
    version: str  # of all models that took part, with ", " between; empty without texts


async def translate_texts(service: Service, texts: Sequence[str], sources: Sequence[str], wanted: Wanted) -> Translated:
    """Translate texts, each from its language of `sources`, with one query for each language.

    Raises:
        SeqloomError: as `Service.translate`.
    """
    results: list[list[Result]] = [[] for _ in texts]
    versions: list[str] = []
    for language in dict.fromkeys(sources):
        rows = [row for row, each in enumerate(sources) if each == language]
        direction = Direction(language, wanted.target)
        answer = await service.translate(
            Query(tuple(texts[row] for row in rows), direction, wanted.n_best, wanted.client)
        )
        versions.append(answer.version)
        for row, found in zip(rows, answer.results, strict=True):
            results[row] = found
    return Translated(results, ", ".join(dict.fromkeys(versions)))


def sources_of(service: Service, texts: Sequence[str], source: str | None, target: str) -> list[Detected]:
    """Return the language of each text: `source`, or the most likely that can be translated into the target.

    Raises:
        DirectionError: no model translates into the target, or not from `source`.
    """
    directions = service.directions()
    possible = {direction.source for direction in directions if direction.target == target}
    if not possible or source not in (None, *possible):
        pair = f"into {target!r}" if source is None else f"from {source!r} into {target!r}"
        raise DirectionError(f"no model translates {pair}; served are {', '.join(map(str, directions))}")
    if source is not None:
        return [Detected(source, 1.0)] * len(texts)
    unsure = Detected(min(possible), 0.0)
    return [next((each for each in service.detect(text) if each.language in possible), unsure) for text in texts]


def match_language(wanted: str, served: Sequence[str]) -> str:
    """Return the served language that a code means: `pt` for `PT-BR` if there is no `pt-BR`, or the other way round.

    Case and underscores do not matter. A code that means no served language is returned as it is: `zh-Hans` is never
    chosen for `zh-Hant`, nor `pt-PT` for `pt-BR`.
    """
    exact, near = _subtags(wanted), []
    for each in served:
        subtags = _subtags(each)
        if subtags == exact:
            return each
        if subtags[0] == exact[0] and (set(subtags) <= set(exact) or set(exact) <= set(subtags)):
            near.append(each)
    return near[0] if near else wanted


def _subtags(code: str) -> list[str]:
    return code.replace("_", "-").lower().split("-")
