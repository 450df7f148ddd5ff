import pytest

from seqloom.formats.po_marks import filled_header, marked, without_fuzzy


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "# machine translation: e\n#, fuzzy\n"),
        ("# by me\n#\n#: a.c\n", "# by me\n#\n# machine translation: e\n#: a.c\n#, fuzzy\n"),
        ("#. note\n#, c-format\n", "# machine translation: e\n#. note\n#, fuzzy, c-format\n"),
        ('#, fuzzy\n#| msgid "old"\n', "# machine translation: e\n#, fuzzy\n"),
        ("# machine translation: other\n#, fuzzy, c-format\n", "# machine translation: e\n#, fuzzy, c-format\n"),
    ],
)
def test_comments_say_that_a_machine_translated(before: str, after: str) -> None:
    assert marked(before, "e", "\n") == after
    assert marked(after, "e", "\n") == after


def test_the_name_of_an_engine_is_one_line_of_ascii() -> None:
    assert marked("", "a\nbä", "\r\n") == "# machine translation: a b?\r\n#, fuzzy\r\n"


def test_the_flag_fuzzy_and_previous_texts_are_removed() -> None:
    assert without_fuzzy('# a\n#, c-format, fuzzy\n#| msgid "b"\n') == "# a\n#, c-format\n"


HEADER = '#, fuzzy\nmsgid ""\nmsgstr ""\n"Language: \\n"\n"Plural-Forms: nplurals=INTEGER; plural=EXPRESSION;\\n"\n'


@pytest.mark.parametrize(
    ("language", "written", "plural"),
    [
        ("de", "de", "nplurals=2; plural=(n != 1);"),
        ("pt-BR", "pt_BR", "nplurals=2; plural=(n > 1);"),
        ("pl", "pl", "nplurals=INTEGER; plural=EXPRESSION;"),
    ],
)
def test_blanks_of_a_template_are_filled_in(language: str, written: str, plural: str) -> None:
    assert filled_header(HEADER, language, "utf-8") == (
        f'msgid ""\nmsgstr ""\n"Language: {written}\\n"\n"Plural-Forms: {plural}\\n"\n'
    )


def test_a_header_without_blanks_stays() -> None:
    header = HEADER.replace("Language: ", "Language: fr").replace("INTEGER", "2").replace("EXPRESSION", "n>1")
    assert filled_header(header, "de", "utf-8") == header
