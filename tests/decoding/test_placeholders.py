"""Texts in chunks, and what is put together from them."""

import pytest

from seqloom.decoding.placeholders import Assembled, TextPlan, assemble, keep_placeholders
from seqloom.text import STANDARD_FORMS

LONG = "One {a} and {b}. Two {c} and {d}. {e}: 7"


def plan(text: str, prefix: str = "", at_once: int = 2) -> TextPlan:
    return TextPlan.make(text, prefix, STANDARD_FORMS, at_once)


def test_a_text_is_translated_in_windows_and_what_has_no_letters_is_copied() -> None:
    made = plan(LONG)
    assert [chunk.text for chunk in made.translated] == ["One {a} and {b}.", "Two {c} and {d}."]
    targets = [[("Eins ", False), ("{a}", True), (" {b}.", False)], [("Zwei {c} {x}", False)]]
    found = assemble(made, targets, [lambda index: 1.0] * 2, STANDARD_FORMS)
    assert found == Assembled("Eins {a} {b}. Zwei {c} {d} {e}: 7", True, 1)


@pytest.mark.parametrize("text", ["", "  ", "{x}", "<b>%s</b> \u2014"])
def test_what_needs_no_model_is_copied(text: str) -> None:
    made = plan(text)
    assert made.translated == []
    assert assemble(made, [], [], STANDARD_FORMS) == Assembled(text.strip(), True, 0)


def test_a_prefix_is_of_the_first_window_and_its_own_placeholders_break_the_guarantee() -> None:
    made = plan(LONG, "Und {q}")
    assert made.prefixes == ["Und {q}", ""]
    targets = [[("Und {q} ", False), ("{a}", True), ("{b}", True)], [("{c}", True), ("{d}", True)]]
    found = assemble(made, targets, [lambda index: 1.0] * 2, STANDARD_FORMS)
    assert found == Assembled("Und {q} {a} {b} {c} {d} {e}: 7", False, 0)
    assert plan("{x}", "so").translated != []  # it begins as the caller wants, not with the copy
    assert plan("", "so").translated == []


def test_placeholders_are_spelled_as_the_text_spells_them() -> None:
    made = plan("Go <a  href='x'>\u00a0there</a>")
    assert made.placeholders == ["<a href='x'>", "</a>"]
    targets = [[("Da", False), ("<a href='x'>", True), ("hin", False), ("</a>", True)]]
    assert assemble(made, targets, [lambda index: 1.0], STANDARD_FORMS).text == "Da<a  href='x'>hin</a>"


def test_a_placeholder_that_only_normalised_text_has_is_kept_as_it_is_normalised() -> None:
    made = plan("Go {x\u200b} there")
    assert made.spelled == made.placeholders == ["{x}"]


def test_tags_that_span_sentences_nest_and_white_space_stays() -> None:
    source = "<p><b>One.\n Two</b></p>"
    assert keep_placeholders(source, "<b><p>Eins.\n\n Zwei</b></p>", STANDARD_FORMS) == Assembled(
        "<p><b>Eins.\n\n Zwei</b></p>", True, 0
    )
    assert keep_placeholders("a {x}\nb", "a\n\tb", STANDARD_FORMS).kept
    assert keep_placeholders("a\n b", "a\n  b ", STANDARD_FORMS) == Assembled("a\n  b ", True, 0)
