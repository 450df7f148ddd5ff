import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqloom.text import FORMS, STANDARD, STANDARD_FORMS, Forms, clean, normalise, placeholders


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
def test_only_placeholders_are_found(text: str, found: list[str]) -> None:
    assert placeholders(text) == found


def test_white_space_control_characters_and_composition_are_normalised() -> None:
    assert normalise(" a\u00a0\tb\r\nc\u200b\ufeff\x07 ") == "a b c"
    assert normalise("u\u0308ber") == "über"
    assert normalise("e\u200b\u0301") == "é"  # composed even though an invisible character separated them
    assert normalise("private \ue005 use") == "private use"


@pytest.mark.parametrize(
    "gap", "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2009\u2028\u2029\u202f\u205f\u3000"
)
def test_every_space_and_separator_becomes_one_space(gap: str) -> None:
    assert normalise(f"cool{gap}air") == "cool air"


@pytest.mark.parametrize("mark", "\xad\u061c\u200b\u200e\u200f\u202a\u202e\u2060\u2066\u2069\ufeff")
def test_zero_width_and_directional_marks_are_removed_without_a_space(mark: str) -> None:
    assert normalise(f"cool {mark}air{mark}") == "cool air"


@pytest.mark.parametrize("joiner", "\u200c\u200d")
def test_joiners_are_kept(joiner: str) -> None:
    assert normalise(f"می{joiner}خواهم") == f"می{joiner}خواهم"


@given(st.text())
def test_normalising_is_idempotent(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert not set(once) & set("\t\n\r\x00")


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("platform", "[X12X] and \u27e63\u27e7 and __PH_1__", ["[X12X]", "\u27e63\u27e7", "__PH_1__"]),
        ("platform", "[1}bold{1] and {2>it<2}, [x] [1]", ["[1}", "{1]", "{2>", "<2}"]),
        ("numbered_tags", "<0>a</0> <1/> 2 < 3 > 1", ["<0>", "</0>", "<1/>"]),
        ("ruby", "%{count} and #{name}, 5 % {x}", ["%{count}", "#{name}"]),
        ("icu_argument", "{n, number} {d, date, short} {n, plural, one {#}}", ["{n, number}", "{d, date, short}"]),
        ("erb", "<%= user.name %> and <% x %>", ["<%= user.name %>", "<% x %>"]),
        ("double_square", "[[ name ]] [one]", ["[[ name ]]"]),
        ("laravel", ":count of :max, at 10:30 a::b", [":count", ":max"]),
        ("percent_pair", "%name% has 5 %", ["%name%"]),
    ],
)
def test_each_optional_form_finds_its_placeholders(name: str, text: str, found: list[str]) -> None:
    assert Forms([name]).find(text) == found


def test_custom_expressions_take_precedence_over_forms() -> None:
    forms = Forms(["braces", "tags"], [r"@@\w+@@", r"\{(?:x|y)\}z"])
    assert forms.find("@@a@@ {x}z {x} <b>") == ["@@a@@", "{x}z", "{x}", "<b>"]
    assert forms != STANDARD_FORMS
    assert Forms(reversed(STANDARD)) == STANDARD_FORMS  # the order of names does not matter
    assert Forms([]).find("{x} %s") == []


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "is not a valid regular expression: missing \\)"),
        ("a*", "matches the empty string"),
        (r"(a)\1", "back-references"),
        ("(?P<x>a)", "has named groups"),
    ],
)
def test_an_expression_that_cannot_be_a_form_is_an_error(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Forms([], [pattern])


def test_an_unknown_form_is_an_error_that_lists_the_valid_ones() -> None:
    with pytest.raises(ValueError, match=r"'brackets' is not a form of placeholder; valid are erb, .*entities"):
        Forms(["brackets"])


@given(st.sampled_from(list(FORMS)), st.text("%0#-+.sd{}[]<>/ab &;:n\u27e6_X1", max_size=30))
def test_no_form_finds_an_empty_placeholder(name: str, text: str) -> None:
    assert "" not in Forms([name]).find(text)


@given(st.text(max_size=40))
def test_clean_keeps_leading_and_trailing_space(text: str) -> None:
    assert clean(text).strip() == normalise(text)


def test_printable_texts_are_cleaned_like_all_others() -> None:
    for text in (f"a{chr(code)}b  c" for code in range(0x30000)):
        assert clean(text) == clean(f"\u200b{text}")  # the zero-width space is removed, and is not printable
