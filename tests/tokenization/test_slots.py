import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqloom.text import normalise, placeholders
from seqloom.tokenization.slots import (
    fill_slots,
    find_slots,
    language_symbols,
    put_slots,
    show_symbols,
    slot_symbols,
)

TEXT = st.lists(
    st.sampled_from(["{a}", "{b}", "%s", "%(n)d", "<b>", "</b>", "&nbsp;", "word", " ", ":", "{", "<"])
).map("".join)


def test_slots_are_the_distinct_placeholders_in_order_of_appearance():
    assert find_slots("{b} then {a}, {b} and <i>%s</i>", 16) == ("{b}", "{a}", "<i>", "%s", "</i>")


def test_at_most_the_given_number_of_slots_is_found():
    assert find_slots("{a} {b} {c}", 2) == ("{a}", "{b}")
    assert find_slots("{a} {b} {c}", 0) == ()


def test_placeholders_become_symbols_and_the_other_text_is_unchanged():
    one, two = slot_symbols(2)
    assert put_slots("a {x} b<b>{x}", ("{x}", "<b>")) == f"a {one} b{two}{one}"


def test_placeholders_without_a_slot_are_unchanged():
    assert put_slots("{x} and {y}", ("{x}",)) == f"{slot_symbols(1)[0]} and {{y}}"
    assert put_slots("{x}", ()) == "{x}"


def test_a_placeholder_inside_another_one_is_unchanged():
    assert put_slots('<a href="{url}">', ("{url}",)) == '<a href="{url}">'


def test_a_symbol_beyond_the_slots_is_removed():
    first, second = slot_symbols(2)
    assert fill_slots(f"a {first}{second} b", ("{x}",)) == "a {x} b"


def test_normalised_text_contains_no_symbols():
    symbols = "".join(slot_symbols(64) + language_symbols(256))
    assert normalise(f"a{symbols}b") == "ab"


@given(source=TEXT, target=TEXT, most=st.integers(0, 6))
def test_fill_slots_reverses_put_slots(source, target, most):
    slots = find_slots(source, most)
    assert fill_slots(put_slots(source, slots), slots) == source
    assert fill_slots(put_slots(target, slots), slots) == target


@given(source=TEXT)
def test_enough_slots_replace_all_placeholders(source):
    slots = find_slots(source, 16)
    written = put_slots(source, slots)
    assert placeholders(written) == []
    assert sum(character in slot_symbols(16) for character in written) == len(placeholders(source))


@pytest.mark.parametrize("count", [0, 1, 64])
def test_every_slot_has_its_own_symbol(count):
    assert len(set(slot_symbols(count))) == count


def test_symbols_are_displayed_as_numbers_and_languages():
    (german, french), slots = language_symbols(2), slot_symbols(12)
    assert show_symbols(f"▁{slots[0]}a{slots[11]}", ()) == "▁<0>a<11>"
    assert [show_symbols(symbol, ("de", "fr")) for symbol in (german, french)] == ["<2de>", "<2fr>"]
