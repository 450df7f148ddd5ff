"""Pairing of tags."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqloom.tokenization.tags import NO_PARTNER, name_of, partners


@pytest.mark.parametrize(
    ("placeholder", "name", "opens"),
    [
        ("<b>", "b", True),
        ("</b>", "b", False),
        ('<a href="https://x.org/">', "a", True),
        ("<0>", "0", True),
        ("</0>", "0", False),
        ("[1}", "[1", True),
        ("{1]", "[1", False),
        ("{12>", "{12", True),
        ("<12}", "{12", False),
        ("<br/>", None, False),
        ('<img src="a.png" />', None, False),
        ("{x}", None, False),
        ("&lt;", None, False),
    ],
)
def test_a_tag_has_a_name_and_opens_or_closes(placeholder: str, name: str | None, opens: bool) -> None:
    assert name_of(placeholder) == (name, opens)


@pytest.mark.parametrize(
    ("placeholders", "expected"),
    [
        (["<b>", "{x}", "</b>"], [2, NO_PARTNER, 0]),
        (["<b>", "<b>", "</b>", "</b>"], [3, 2, 1, 0]),
        (['<a href="1">', "</a>", '<a href="2">', "</a>"], [1, 0, 3, 2]),
        (["<p>", "<br>", "</p>"], [2, NO_PARTNER, 0]),  # <br> is never closed
        (["</p>", "<b>", "</b>"], [NO_PARTNER, 2, 1]),
        (["<b>", "<i>", "</b>", "</i>"], [2, NO_PARTNER, 0, NO_PARTNER]),  # crossing pairs are not paired
        (["<b>", "</b>", "<b>"], [NO_PARTNER] * 3),  # a name is paired completely or not at all
        (["{1>", "[1}", "{1]", "<1}"], [3, 2, 1, 0]),
        ([], []),
    ],
)
def test_tags_are_paired(placeholders: list[str], expected: list[int]) -> None:
    assert partners(placeholders) == expected


@given(st.lists(st.sampled_from(["<b>", "</b>", "<i>", "</i>", "<a x>", "<a>", "</a>", "<u>", "</u>", "{x}"])))
def test_pairs_are_nested_and_a_name_is_paired_completely_or_not_at_all(placeholders: list[str]) -> None:
    found = partners(placeholders)
    stack: list[int] = []
    for index, partner in enumerate(found):
        if partner == NO_PARTNER:
            continue
        assert found[partner] == index
        assert name_of(placeholders[index])[0] == name_of(placeholders[partner])[0]
        if partner > index:
            assert name_of(placeholders[index])[1]
            stack.append(index)
        else:
            assert stack.pop() == partner
    assert not stack
    names = [name_of(each)[0] for each in placeholders]
    paired = {name for name, partner in zip(names, found, strict=True) if partner != NO_PARTNER}
    assert all(
        partner != NO_PARTNER or name is None for name, partner in zip(names, found, strict=True) if name in paired
    )
