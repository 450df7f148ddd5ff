"""How many examples the property tests try: all in the drills, a fifth in `make test`."""

from hypothesis import settings

QUICK, DEEP = "quick", "deep"  # profiles of Hypothesis, which tests/conftest.py registers


def examples(number: int) -> int:
    """Return `max_examples` for a property that needs another number than 100 in the drills."""
    return number if settings.get_current_profile_name() == DEEP else max(1, number // 5)
