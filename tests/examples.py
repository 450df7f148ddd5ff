"""How many examples the property tests try, and the strategies that several of them share.

The drills try all examples, `make test` a fifth but at least 20.
"""

import os

from hypothesis import settings
from hypothesis import strategies as st

ALL = os.environ.get("PROPERTIES") == "all"  # set by `make drills`


def examples(number: int) -> int:
    """Return `max_examples` for a property that needs another number than 100 in the drills."""
    return number if ALL else max(number // 5, min(number, 20))


def choose() -> None:
    """Set the number of examples of property tests that name none; tests/conftest.py calls this."""
    settings.register_profile("properties", max_examples=examples(100), deadline=None)  # a busy machine is slow
    settings.load_profile("properties")


VISIBLE = st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"])


def containing(
    alphabet: st.SearchStrategy[str], wanted: st.SearchStrategy[str], max_size: int | None = None
) -> st.SearchStrategy[str]:
    """Return texts of `alphabet` around a character of `wanted`, with at most `max_size` characters on either side.

    A filter would reject so many texts that Hypothesis now and then fails the test (`filter_too_much`).
    """
    around = st.text(alphabet, max_size=max_size)
    return st.tuples(around, wanted, around).map("".join)
