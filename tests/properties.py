"""How many examples the property tests try: a third of them in `make test`, all of them in `make drills`."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import settings

ALL = os.environ.get("PROPERTIES") == "all"
LEAST = 20

_Test = TypeVar("_Test", bound=Callable[..., object])


def examples(count: int, **more: Any) -> Callable[[_Test], _Test]:
    """Return a decorator for a property test that tries `count` examples in `make drills`; `more` are settings."""
    fewer = max(count // 3, min(count, LEAST))
    chosen = settings(deadline=None, max_examples=count if ALL else fewer, **more)
    return lambda test: pytest.mark.property(chosen(test))
