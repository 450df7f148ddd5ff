import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqloom.documents.messages import MessageError, parse_message
from tests.documents.fakes import loud
from tests.examples import examples


def written(text: str) -> str:
    message = parse_message(text)
    return message.written(list(map(loud, message.texts)))


def test_the_text_around_a_plural_moves_into_its_branches() -> None:
    message = parse_message("You have {n, plural, =0 {nothing} one {# file} other {# files}} in {folder}.")
    assert message.texts == [
        "You have nothing in {folder}.",
        "You have {n1} file in {folder}.",
        "You have {n1} files in {folder}.",
    ]
    assert message.written(["A {folder}", "{n1} B {folder}", "C {folder} {n1}"]) == (
        "{n, plural, =0 {A {folder}} one {# B {folder}} other {C {folder} #}}"
    )


def test_nested_choices_become_nested_sentences() -> None:
    text = "{g, select, male {he {n, plural, one {has # cat} other {has # cats}}} other {they sleep}} now"
    assert written(text) == (
        "{g, select, male {{n, plural, one {HE HAS # CAT NOW} other {HE HAS # CATS NOW}}} other {THEY SLEEP NOW}}"
    )


def test_the_number_of_an_outer_plural_becomes_an_argument() -> None:
    text = "{n, plural, other {# boxes with {m, plural, other {# cats}}}}"
    assert written(text) == "{n, plural, other {{m, plural, other {{n, number} BOXES WITH # CATS}}}}"


def test_arguments_with_types_and_offsets_are_kept() -> None:
    assert written("{n, plural, offset:1 one {# on {d, date, short}} other {#}}") == (
        "{n, plural, offset:1 one {# ON {d, date, short}} other {#}}"
    )


def test_apostrophes_quote() -> None:
    assert parse_message("It''s {n, plural, other {don't}}").texts == ["It's don't"]
    assert parse_message("{n, plural, other {a '#' b}}").texts == ["a # b"]
    assert written("{n, plural, other {don't '#' #}}") == "{n, plural, other {DON''T '#' #}}"


@pytest.mark.parametrize(
    "text",
    [
        "{n, plural, one {a}",
        "{n, plural, one {a}}",
        "{n, plural,}",
        "{",
        "a}",
        "{n, choice, 0#a|1#b}",
        "{a b}",
        "'{' {n, plural, other {a}}",
    ],
)
def test_invalid_messages_are_refused(text: str) -> None:
    with pytest.raises(MessageError):
        parse_message(text)


def test_too_many_branches_are_refused_quickly() -> None:
    with pytest.raises(MessageError, match="more than"):
        parse_message("{n, plural, one {a} other {b}} " * 30)
    with pytest.raises(MessageError):
        parse_message("{n, plural, other {" * 2000)


@pytest.mark.parametrize("translation", ["nothing", "{a} {a}", "{b}"])
def test_a_lost_argument_is_refused(translation: str) -> None:
    with pytest.raises(MessageError):
        parse_message("{n, plural, other {x {a}}}").written([translation])


@settings(max_examples=examples(200), deadline=None)
@given(st.text(alphabet="{}'#|ab ", max_size=12))
def test_any_translation_is_written_so_that_it_reads_back(said: str) -> None:
    message = parse_message("{n, plural, one {x} other {# y}}")
    name = message.texts[1][:4]
    try:
        text = message.written([said, f"{said}{name}"])
    except MessageError:
        assert name in said
        return
    if "{" in said or "}" in said:
        with pytest.raises(MessageError, match="quoted braces"):  # well-formed, but not translated
            parse_message(text)
    else:
        assert parse_message(text).texts == [said, f"{said}{name}"]
