"""How many examples the property tests try: all in the drills, a fifth but at least 20 in `make test`."""

import os

from hypothesis import settings

ALL = os.environ.get("PROPERTIES") == "all"  # set by `make drills`


def examples(number: int) -> int:
    """Return `max_examples` for a property that needs another number than 100 in the drills."""
    return number if ALL else max(number // 5, min(number, 20))


def choose() -> None:
    """Set the number of examples of property tests that name none; tests/conftest.py calls this."""
    settings.register_profile("properties", max_examples=examples(100), deadline=None)  # a busy machine is slow
    settings.load_profile("properties")
