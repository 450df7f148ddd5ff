import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqloom.text import normalise, placeholders


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Hello {name}, {0} of {} left", ["{name}", "{0}", "{}"]),
        ("%s and %1$s and %(count)d and %.2f and %d%%", ["%s", "%1$s", "%(count)d", "%.2f", "%d"]),
        ("<b>bold</b> and <br/> and <a href='x'>", ["<b>", "</b>", "<br/>", "<a href='x'>"]),
        ("{{ value }} ${path} &nbsp; &#39;", ["{{ value }}", "${path}", "&nbsp;", "&#39;"]),
        ("{x:.2f} twice {x:.2f}", ["{x:.2f}", "{x:.2f}"]),
        ("50 % of 3% discount, 5 < 6 > 4, AT&T; {not closed", []),
    ],
)
def test_placeholders_are_found_and_prose_is_not(text: str, found: list[str]) -> None:
    assert placeholders(text) == found


def test_white_space_controls_and_composition_are_normalised() -> None:
    assert normalise(" a\u00a0\tb\r\nc\u200b\ufeff\x07 ") == "a b c"
    assert normalise("u\u0308ber") == "über"
    assert normalise("e\u200b\u0301") == "é"  # composed although something stood between
    assert normalise("private \ue005 use") == "private use"


@pytest.mark.parametrize(
    "gap", "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2009\u2028\u2029\u202f\u205f\u3000"
)
def test_every_space_and_separator_keeps_words_apart(gap: str) -> None:
    assert normalise(f"cool{gap}air") == "cool air"


@pytest.mark.parametrize("mark", "\xad\u061c\u200b\u200e\u200f\u202a\u202e\u2060\u2066\u2069\ufeff")
def test_zero_width_and_directional_marks_go_without_a_gap(mark: str) -> None:
    assert normalise(f"cool {mark}air{mark}") == "cool air"


@pytest.mark.parametrize("joiner", "\u200c\u200d")
def test_joiners_are_spelling(joiner: str) -> None:
    assert normalise(f"می{joiner}خواهم") == f"می{joiner}خواهم"


@given(st.text())
def test_normalising_twice_is_normalising_once(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert not set(once) & set("\t\n\r\x00")
