"""Windows join to the text again, none has too many placeholders, and cuts are where a sentence ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqloom.decoding.windows import Window, is_verbatim, windows
from seqloom.text import STANDARD_FORMS, normalise

pieces = st.sampled_from(["{x}", "<b>", "</b>", "%s", " ", ". ", "a", " word", ", ", "{y}", "&nbsp;", " 7", "\u3002"])


@given(st.lists(pieces, max_size=60).map("".join).map(normalise), st.integers(1, 5))
def test_windows_join_to_the_text(text: str, most: int) -> None:
    found = windows(text, STANDARD_FORMS, most)
    assert "".join(window.text + window.gap for window in found) == text
    assert [each for window in found for each in window.placeholders] == STANDARD_FORMS.find(text)
    assert all(len(window.placeholders) <= most for window in found)
    assert len(found) == 1 or all(window.placeholders for window in found)


def test_a_text_with_few_placeholders_is_one_window() -> None:
    assert windows("a {x} b. {y}", STANDARD_FORMS, 2) == [Window("a {x} b. {y}", ["{x}", "{y}"], "")]
    assert windows("", STANDARD_FORMS, 2) == [Window("", [], "")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One {a} and {b}. Two {c} and {d}.", ["One {a} and {b}.", "Two {c} and {d}."]),
        ("One {a} two {b}, three {c} and {d}", ["One {a} two {b},", "three {c} and {d}"]),
        ("{a} one, two {b} three {c} {d}", ["{a} one,", "two {b} three {c} {d}"]),
        ("{a}{b}{c}{d}", ["{a}{b}", "{c}{d}"]),
    ],
)
def test_a_text_is_cut_where_a_sentence_or_a_clause_ends(text: str, expected: list[str]) -> None:
    assert [window.text for window in windows(text, STANDARD_FORMS, 3)] == expected


def test_what_has_no_letter_beside_its_placeholders_needs_no_translation() -> None:
    def verbatim(text: str) -> bool:
        return is_verbatim(windows(text, STANDARD_FORMS, 9)[0], STANDARD_FORMS)

    assert [verbatim(text) for text in ("{x}", "{x}: 7 %", "<b>%s</b>", "")] == [True] * 4
    assert [verbatim(text) for text in ("{x} a", "7", "\u5b57{x}")] == [False] * 3
