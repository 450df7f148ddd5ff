"""Splitting texts into chunks, and reassembling the translations."""

import pytest

from seqloom.decoding.placeholder_repair import Part
from seqloom.decoding.placeholders import Assembled, Target, TextPlan, assemble, keep_placeholders
from seqloom.text import STANDARD_FORMS

LONG = "One {a} and {b}. Two {c} and {d}. {e}: 7"


def targets(*parts: list[Part]) -> list[Target]:
    """Return targets that get missing placeholders at their end."""
    return [Target(each, lambda index: 1.0) for each in parts]


def plan(text: str, prefix: str = "", at_once: int = 2) -> TextPlan:
    return TextPlan.make(text, prefix, STANDARD_FORMS, at_once)


def test_a_text_is_translated_in_chunks_and_chunks_without_letters_are_copied() -> None:
    made = plan(LONG)
    assert [chunk.text for chunk in made.translated] == ["One {a} and {b}.", "Two {c} and {d}."]
    translated = targets([("Eins ", False), ("{a}", True), (" {b}.", False)], [("Zwei {c} {x}", False)])
    found = assemble(made, translated, STANDARD_FORMS)
    assert found == Assembled("Eins {a} {b}. Zwei {c} {d} {e}: 7", True, 1)


@pytest.mark.parametrize("text", ["", "  ", "{x}", "<b>%s</b> \u2014"])
def test_text_without_letters_is_copied(text: str) -> None:
    made = plan(text)
    assert made.translated == []
    assert assemble(made, [], STANDARD_FORMS) == Assembled(text.strip(), True, 0)


def test_a_prefix_applies_to_the_first_chunk_and_its_placeholders_are_reported() -> None:
    made = plan(LONG, "Und {q}")
    assert made.prefixes == ["Und {q}", ""]
    translated = targets([("Und {q} ", False), ("{a}", True), ("{b}", True)], [("{c}", True), ("{d}", True)])
    found = assemble(made, translated, STANDARD_FORMS)
    assert found == Assembled("Und {q} {a} {b} {c} {d} {e}: 7", False, 0)
    assert plan("{x}", "so").translated != []  # with a prefix, it is translated and not copied
    assert plan("", "so").translated == []


def test_placeholders_keep_the_spelling_of_the_text() -> None:
    made = plan("Go <a  href='x'>\u00a0there</a>")
    assert made.placeholders == ["<a href='x'>", "</a>"]
    translated = targets([("Da", False), ("<a href='x'>", True), ("hin", False), ("</a>", True)])
    assert assemble(made, translated, STANDARD_FORMS).text == "Da<a  href='x'>hin</a>"


def test_a_placeholder_that_appears_only_after_normalisation_keeps_its_normalised_form() -> None:
    made = plan("Go {x\u200b} there")
    assert made.spelled == made.placeholders == ["{x}"]


def test_tags_across_sentences_are_nested_and_white_space_is_unchanged() -> None:
    source = "<p><b>One.\n Two</b></p>"
    assert keep_placeholders(source, "<b><p>Eins.\n\n Zwei</b></p>", STANDARD_FORMS) == Assembled(
        "<p><b>Eins.\n\n Zwei</b></p>", True, 0
    )
    assert keep_placeholders("a {x}\nb", "a\n\tb", STANDARD_FORMS).kept
    assert keep_placeholders("a\n b", "a\n  b ", STANDARD_FORMS) == Assembled("a\n  b ", True, 0)
