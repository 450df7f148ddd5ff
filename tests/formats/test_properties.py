import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seqloom.errors import FormatError
from tests.formats.rewriting import assert_puts, read, remarks, skips, texts, units, written

SAMPLE = r"""# a comment = with a sign \
! another: one
open=Open file
  save : Save {0}
quit Quit
long = one, \
    two, \
  # three
a\ b\=c\u00fc = K\u00fchl\n\ttab \:
empty=
bare
last=end"""


def test_texts_and_their_keys_are_read():
    assert texts("properties", SAMPLE) == {
        "open": "Open file",
        "save": "Save {0}",
        "quit": "Quit",
        "long": "one, two, # three",
        "a b=cü": "Kühl\n\ttab :",
        "empty": "",
        "bare": "",
        "last": "end",
    }
    assert {unit.key: unit.line for unit in units("properties", SAMPLE)}["a b=cü"] == 9


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_each_line_end_is_preserved(end):
    content = SAMPLE.replace("\n", end)
    assert texts("properties", content) == texts("properties", SAMPLE)
    assert [unit.line for unit in units("properties", content)] == [3, 4, 5, 6, 9, 10, 11, 12]


def test_files_that_are_not_utf8_are_read_as_latin1():
    assert texts("properties", "a=Kühl ☃") == {"a": "Kühl ☃"}
    assert texts("properties", "a=Kühl".encode("latin-1")) == {"a": "Kühl"}
    assert texts("properties", "a=Kühl – x".encode("cp1252"), "cp1252") == {"a": "Kühl – x"}


def test_control_characters_in_latin1_are_noticed():
    content = "a=x\r\nb=Kühl – x".encode("cp1252")
    assert remarks("properties", content) == [
        "contains the control character '\\x96' in Latin-1: `encoding: cp1252` may be right"
    ]
    assert next(piece for piece in read("properties", content)).line == 2


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a=x", rb"a=\u2603 \u00fc\ud83d\ude00"),
        ("a=x\nb=ö", "a=☃ ü😀\nb=ö".encode()),
        ("a=x\nb=ö".encode("latin-1"), b"a=\\u2603 \xfc\\ud83d\\ude00\nb=\xf6"),
    ],
)
def test_characters_outside_the_encoding_are_escaped(content, expected):
    assert written("properties", content, {"a": "☃ ü😀"}) == expected


def test_syntax_characters_are_escaped():
    assert written("properties", "a b\nbare\n", {"a": "= x", "bare": " y\\"}) == b"a \\= x\nbare=\\ y\\\\\n"


def test_the_last_text_of_a_duplicate_key_wins():
    assert texts("properties", "a=1\nb=2\na=3\n") == {"b": "2", "a": "3"}
    assert skips("properties", "a=1\nb=2\na=3\n") == [("duplicate key", "1")]


def test_a_lone_surrogate_is_skipped():
    assert skips("properties", r"a=x\ud800") == [("half a character (lone surrogate)", "x\ufffd")]


def test_an_invalid_escape_is_an_error():
    with pytest.raises(FormatError, match=r"line 2: \\u needs four hexadecimal digits: '\\\\u12'"):
        read("properties", "a=b\nc=\\u12\n")


anything = st.text(st.characters(exclude_categories=["Cs"]))


@given(anything, st.sampled_from(["open", "save", "quit", "long", "empty", "bare", "last"]), st.booleans())
@example(" \f=", "quit", True)
def test_any_translation_survives_a_round_trip(translation, key, ascii_only):
    assert_puts("properties", SAMPLE + ("" if ascii_only else "\nx=ö"), key, translation)


@given(st.text(st.sampled_from("ab=: \\\n\r#!\tu0"), max_size=30))
def test_any_text_is_read_losslessly(content):
    try:
        read("properties", content)
    except FormatError as error:
        assert "\\u needs" in str(error)  # noqa: PT017
