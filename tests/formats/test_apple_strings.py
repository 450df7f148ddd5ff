import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqloom.errors import FormatError
from tests.formats.rewriting import assert_puts, read, skips, texts, units, written

SAMPLE = r"""/* Menu; "quoted" = "x"; */
"menu.open" = "Open \"%@\"…";
// a line
save = 'Save it';
"Say \U00fc" = "\U00dcber\n\344\t\101\'";
"Bare text";
"two" /* inner */ = /* here */
  "lines
of text";
"""


def test_texts_and_their_keys_are_read():
    assert texts("apple_strings", SAMPLE) == {
        "menu.open": 'Open "%@"…',
        "save": "Save it",
        "Say ü": "Über\nî\tA'",
        "Bare text": "Bare text",
        "two": "lines\nof text",
    }
    assert [unit.line for unit in units("apple_strings", SAMPLE)] == [2, 4, 5, 6, 7]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
def test_each_encoding_is_read(encoding):
    content = SAMPLE.encode(encoding)
    assert texts("apple_strings", content) == texts("apple_strings", SAMPLE)
    assert written("apple_strings", content, {"save": "Sichern ☃"}) == SAMPLE.replace(
        "'Save it'", '"Sichern ☃"'
    ).encode(encoding)


def test_everything_but_the_text_is_preserved():
    after = written("apple_strings", SAMPLE, {"two": 'zwei\n"Zeilen"', "Bare text": "Bloßer Text"}).decode()
    assert after == SAMPLE.replace('"lines\nof text"', r'"zwei\n\"Zeilen\""').replace(
        '"Bare text";', '"Bare text" = "Bloßer Text";'
    )


def test_characters_outside_the_encoding_are_escaped():
    content = '"a" = "Kühl";'.encode("latin-1")
    assert written("apple_strings", content, {"a": "ü ☃😀"}, "latin-1") == b'"a" = "\xfc \\U2603\\Ud83d\\Ude00";'


def test_duplicate_keys_and_lone_surrogates_are_skipped():
    assert skips("apple_strings", r'"a" = "1"; "a" = "2"; "b" = "\Ud800";') == [
        ("duplicate key", "1"),
        ("half a character (lone surrogate)", "\ufffd"),
    ]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ('\n"a" = "b"', "line 2: not a .strings file: expected a semicolon"),
        ('"a" = ;', "line 1: not a .strings file: expected a text in double quotes"),
        ('"a" = "b;\n', "line 1: not a .strings file: unclosed string"),
        ('"a" = "b";\n/* x', "line 2: not a .strings file: unclosed comment"),
        ("= x;", "line 1: not a .strings file: expected an entry"),
        ('<?xml version="1.0"?><plist/>', "XML and binary property lists are not supported"),
    ],
)
def test_errors_describe_the_fault(content, fault):
    with pytest.raises(FormatError, match=r"c\.apple_strings: " + fault):
        read("apple_strings", content)


@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.sampled_from(["menu.open", "save", "Say ü", "Bare text", "two"]),
)
def test_any_translation_survives_a_round_trip(translation, key):
    assert_puts("apple_strings", SAMPLE, key, translation)
