import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqloom.tracking.registry.champion import Move, previous_champion


def moves(*steps: str) -> list[Move]:
    """Return moves: `3` promotes version 3, `<1` rolls back to version 1."""
    made: list[Move] = []
    for step in steps:
        before = made[-1].version if made else None
        how = "rollback" if step.startswith("<") else "gate"
        made.append(Move("now", how, step.removeprefix("<"), before, "", "me", True))  # type: ignore[arg-type]
    return made


@pytest.mark.parametrize(
    ("steps", "leads_to"),
    [
        ([], None),
        (["1"], None),
        (["1", "2"], "1"),
        (["1", "2", "5", "<2"], "1"),  # a second rollback goes back one more
        (["1", "2", "<1", "3"], "1"),
        (["1", "2", "<1", "2", "4"], "2"),
        (["1", "2", "3", "<1"], None),
        (["4", "<2"], "4"),  # a rollback to a version that was never champion
    ],
)
def test_a_rollback_ignores_moves_that_were_rolled_back(steps: list[str], leads_to: str | None) -> None:
    made = moves(*steps)
    assert previous_champion(made, made[-1].version if made else None) == leads_to


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12, unique=True))
def test_rollbacks_visit_every_champion_once_from_the_last_to_the_first(order: list[int]) -> None:
    made = moves(*map(str, order))
    visited = [made[-1].version]
    while (number := previous_champion(made, visited[-1])) is not None:
        made.append(Move("now", "rollback", number, visited[-1], "", "me", True))
        visited.append(number)
    assert visited == [str(each) for each in reversed(order)]


def test_a_champion_that_another_tool_set_can_be_rolled_back() -> None:
    assert previous_champion(moves("1", "2"), "7") == "2"
