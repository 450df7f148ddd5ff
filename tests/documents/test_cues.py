import pytest

from seqloom.documents.cues import joined, wrapped


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("one", ("one", 1)),
        ("one two\nthree", ("one two three", 2)),
        ("- Yes?\n- No.", ("- Yes?\n- No.", 1)),
        ("<i>one</i>\n<i>- two</i>", ("<i>one</i>\n<i>- two</i>", 1)),
    ],
)
def test_lines_of_one_speaker_are_joined(text: str, found: tuple[str, int]) -> None:
    assert joined(text) == found


@pytest.mark.parametrize(
    ("text", "lines", "found"),
    [
        ("one two three four", 2, "one two\nthree four"),
        ("one", 2, "one"),
        ("a b c", 3, "a\nb\nc"),
        ('<font color="a b">one</font> two', 2, '<font color="a b">one</font>\ntwo'),
        ("as it  is", 1, "as it  is"),
    ],
)
def test_a_translation_is_broken_into_lines_of_similar_length(text: str, lines: int, found: str) -> None:
    assert wrapped(text, lines) == found
