"""Repair of outputs that a model may produce."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqloom.decoding.placeholder_repair import Part, complete, find, nest, repair, space, tidy
from seqloom.text import FORMS, STANDARD_FORMS, Forms
from seqloom.tokenization.tags import NO_PARTNER, partners
from tests.examples import examples

EVERY = Forms(list(FORMS))
placeholders = st.sampled_from(
    ["{x}", "{}", "${x}", "{{ x }}", "%s", "%1$s", "%(n)d", "%1", "<b>", "</b>", "<br/>", '<a href="{x}">', "&nbsp;"]
)
scraps = st.text(alphabet="{}%<>&;$/ abs1_:[]#X()\u27e6\ue000\ufffd", max_size=6)


def guarded(parts: list[Part], wanted: list[str], forms: Forms = STANDARD_FORMS) -> tuple[str, bool]:
    return repair(parts, wanted, wanted, forms)


@settings(max_examples=examples(400), deadline=None)
@given(st.lists(st.one_of(scraps.map(lambda t: (t, False)), placeholders.map(lambda t: (t, True))), max_size=8))
def test_a_repaired_text_has_exactly_its_placeholders(parts: list[Part]) -> None:
    wanted = [text for text, is_placeholder in parts if is_placeholder]
    text, kept = guarded(parts, wanted)
    assert kept
    assert Counter(STANDARD_FORMS.find(text)) == Counter(wanted)
    assert "\ufffd" not in text
    assert text == text.strip()


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(scraps, max_size=6))
def test_text_that_looks_like_a_placeholder_is_removed(texts: list[str]) -> None:
    text, kept = guarded([(each, False) for each in texts], [], EVERY)
    assert kept
    assert EVERY.find(text) == []


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([("Stelle ", False), ("{x}", True), (" ein", False)], "Stelle {x} ein"),
        ([("Stelle {foo} ", False), ("{x}", True)], "Stelle {x}"),
        ([("a ", False), ("%s", True), ("b", False)], "a %s b"),  # a following letter would hide it
        ([("{", False), ("{x}", True), ("}", False)], "{x}"),  # {{x}} is another placeholder
        ([("a$", False), ("{x}", True)], "a{x}"),
        ([("a <b", False), ("{x}", True), (" c>", False)], "a <b{x} c>"),
        ([("a <b ", False), ("{x}", True), (" c>", False)], "a {x}"),
        ([("5% of ", False), ("%s", True)], "5% of %s"),
        ([("a\ufffd\ufffdb &nbsp; c", False)], "ab c"),
    ],
)
def test_text_that_changes_a_placeholder_is_separated_or_removed(parts: list[Part], expected: str) -> None:
    wanted = [text for text, is_placeholder in parts if is_placeholder]
    assert guarded(parts, wanted) == (expected, True)


def test_placeholders_get_the_spelling_of_the_source() -> None:
    parts: list[Part] = [("<a b>", True), ("x", False), ("<a b>", True)]
    assert repair(parts, ["<a b>", "<a b>"], ["<a  b>", "<a\nb>"], STANDARD_FORMS) == ("<a  b>x<a\nb>", True)


def test_a_placeholder_that_is_not_found_in_its_new_place_is_reported() -> None:
    forms = Forms([], [r"(?<=to )\w+@"])
    assert guarded([("an ", False), ("bob@", True)], ["bob@"], forms) == ("an bob@", False)


def test_find_separates_only_as_many_placeholders_as_wanted() -> None:
    found = find([("a {x} b {x} {y}", False)], ["{x}"], STANDARD_FORMS)
    assert found == [("a ", False), ("{x}", True), (" b {x} {y}", False)]
    assert find([("{x}", True), (" {x}", False)], ["{x}"], STANDARD_FORMS) == [("{x}", True), (" {x}", False)]


@pytest.mark.parametrize(
    ("text", "wanted", "shares", "expected", "placed"),
    [
        ("Die Lampe ist an.", ["{x}"], [0.3], "Die {x} Lampe ist an.", 1),
        ("Die Lampe ist an.", ["{x}"], [1.0], "Die Lampe ist an {x}.", 1),
        ("Die Lampe ist an.", ["{x}", "%s"], [0.0, 1.0], "{x} Die Lampe ist an %s.", 2),
        ("an", ["<b>", "</b>"], [0.0, 1.0], "<b>an</b>", 2),
        ("an und aus", ["<b>", "</b>"], [0.3, 0.7], "an <b>und</b> aus", 2),
        ("", ["{x}", "{y}"], [0.0, 0.5], "{x} {y}", 2),
        ("a b c", ["{x}", "{y}"], [0.9, 0.1], "a b c {x} {y}", 2),  # their order stays
    ],
)
def test_missing_placeholders_are_inserted_at_their_position(
    text: str, wanted: list[str], shares: list[float], expected: str, placed: int
) -> None:
    parts, count = complete([(text, False)] if text else [], wanted, shares.__getitem__)
    assert (guarded(parts, wanted), count) == ((expected, True), placed)


@pytest.mark.parametrize(
    ("fixed", "expected"), [(0, "{x} Das Licht. Aus."), (3, "Das {x} Licht. Aus."), (19, "Das Licht. Aus. {x}")]
)
def test_nothing_is_inserted_before_the_end_of_a_prefix(fixed: int, expected: str) -> None:
    parts, _ = complete([("Das Licht. Aus.", False)], ["{x}"], lambda index: 0.0, fixed)
    assert guarded(parts, ["{x}"]) == (expected, True)


def test_surplus_placeholders_are_removed() -> None:
    parts, count = complete([("{x}", True), (" a ", False), ("{x}", True), ("{z}", True)], ["{x}"], lambda index: 0.0)
    assert (parts, count) == ([("{x}", True), (" a ", False)], 0)


@given(st.permutations(["<b>", "<i>", "{x}", "</i>", "</b>", "<br>"]))
def test_pairs_of_tags_are_nested_from_any_order(order: list[str]) -> None:
    source = ["<b>", "<i>", "{x}", "</i>", "<br>", "</b>"]
    nested = [text for text, _ in nest([(text, True) for text in order], source)]
    assert Counter(nested) == Counter(source)
    assert partners(nested).count(NO_PARTNER) == 2
    if partners(order).count(NO_PARTNER) == 2:
        assert nested == list(order)


def test_a_text_without_errors_is_unchanged() -> None:
    parts: list[Part] = [("Stelle \u201e", False), ("{x}", True), ("\u201c auf 5 % & mehr < 3", False)]
    assert tidy(parts) == parts
    assert nest(parts, ["{x}"]) == parts


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([("a", False), ("{x}", True)], "a {x}"),
        ([("a: ", False), ("{x}", True), ("{y}", True)], "a: {x} {y}"),
        ([("a.", False), ("{x}", True)], "a. {x}"),
        ([("<b>", True), ("{x}", True), ("</b>", True), ("{y}", True)], "<b>{x}</b> {y}"),
        ([("\u6253\u5f00", False), ("{x}", True)], "\u6253\u5f00{x}"),  # no spaces in Chinese
        ([("\u201e", False), ("{x}", True), ("-Modus", False), ("{z}", True)], "\u201e{x}-Modus{z}"),
    ],
)
def test_a_placeholder_with_spaces_in_the_source_gets_a_space(parts: list[Part], expected: str) -> None:
    assert "".join(text for text, _ in space(parts, {"{x}", "{y}"})) == expected
