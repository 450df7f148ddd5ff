import pytest

from seqloom.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Grüße 世界 👋", "Grüße 世界 👋"),
        ("a\x1b[31mb\x07", "a\\x1b[31mb\\x07"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("\x85\u2028\u202e\ud800\x7f\x9b", "\\x85\\u2028\\u202e\\ud800\\x7f\\x9b"),
        ('it\'s "so" \\ here', 'it\'s "so" \\ here'),
        ("", ""),
    ],
)
def test_control_characters_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
