"""Find the served direction that a client means: codes differ in case, in `_` and `-`, and in their region."""

from collections.abc import Sequence

from seqloom.errors import DirectionError
from seqloom.languages import Direction
from seqloom.serving.service import Detected


def find_direction(served: Sequence[Direction], source: str, target: str) -> Direction:
    """Return the served direction that fits best.

    `PT_br` means `pt-BR`; if a code is not served itself, `de-AT` means `de`, and `pt` means the first of its variants.

    Raises:
        DirectionError: none fits; the message lists those that are served.
    """
    for level in _LEVELS:
        for each in served:
            if level(each.source, source) and level(each.target, target):
                return each
    names = ", ".join(map(str, served))
    raise DirectionError(f"no model translates from {source!r} to {target!r}; served are {names}")


def find_detected(served: Sequence[Direction], detected: Sequence[Detected], target: str) -> tuple[Direction, Detected]:
    """Return the direction into `target` from the most likely language, and that language.

    Raises:
        DirectionError: no model translates into `target`.
    """
    for level in _LEVELS:
        into = {each.source: each for each in served if level(each.target, target)}
        for each in detected:
            if each.language in into:
                return into[each.language], each
    names = ", ".join(sorted({each.target for each in served}))
    raise DirectionError(f"no model translates into {target!r}; served are {names}")


def _same(served: str, wanted: str) -> bool:
    return _code(served) == _code(wanted)


def _base_of(served: str, wanted: str) -> bool:
    return _same(served, wanted) or _code(served) == _base(wanted)


def _variant_of(served: str, wanted: str) -> bool:
    return _base_of(served, wanted) or _base(served) == _code(wanted)


_LEVELS = (_same, _base_of, _variant_of)


def _code(language: str) -> str:
    return language.strip().replace("_", "-").lower()


def _base(language: str) -> str:
    return _code(language).partition("-")[0]
