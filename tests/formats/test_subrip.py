import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqloom.errors import FormatError
from tests.examples import VISIBLE, containing
from tests.formats.rewriting import assert_puts, read, skips, texts, units, written

SAMPLE = """1
00:00:01,000 --> 00:00:02,500
Hello there.

2
00:00:03,000 --> 00:00:04,000 X1:10 X2:20
<i>Two</i>
lines

3
00:00:05.5 --> 00:00:06,000

4
00:00:07,000 --> 00:00:08,000
42
5
00:00:09,000 --> 00:00:10,000
No blank line before
"""


def test_cues_are_read_with_their_start_times():
    assert texts("subrip", SAMPLE) == {
        "00:00:01,000": "Hello there.",
        "00:00:03,000": "<i>Two</i>\nlines",
        "00:00:07,000": "42",
        "00:00:09,000": "No blank line before",
    }
    assert [unit.line for unit in units("subrip", SAMPLE)] == [3, 7, 15, 18]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_numbers_and_times_are_copied(end):
    content = ("\ufeff" + SAMPLE).replace("\n", end).encode()
    after = written("subrip", content, {"00:00:03,000": "Drei\nZeilen\n\nText", "00:00:01,000": "a --> b"})
    assert after.decode() == ("\ufeff" + SAMPLE).replace("<i>Two</i>\nlines", "Drei\nZeilen\nText").replace(
        "Hello there.", "a -> b"
    ).replace("\n", end)


def test_cues_with_the_same_start_time_have_distinct_keys():
    content = "1\n00:00:01,000 --> 00:00:02,000\na\n\n2\n00:00:01,000 --> 00:00:03,000\nb"
    assert texts("subrip", content) == {"00:00:01,000": "a", "00:00:01,000 #2": "b"}


def test_text_outside_a_cue_is_skipped():
    assert skips("subrip", SAMPLE + "\nstray\n") == [("text outside a cue", "stray")]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("\nJust text\n", "line 2: not SubRip: no line of the file has times"),
        ("00:00:01,000 --> 00:00:02,000\n" + "x\n" * 1001, "line 2: a cue is longer than 1,000 lines"),
        ("1\r00:00:01,000 --> 00:00:02,000\rx\r", "lines end with CR only"),
    ],
)
def test_errors_describe_the_fault(content, fault):
    with pytest.raises(FormatError, match=fault):
        read("subrip", content)


# Valid lines of a cue: not blank, no arrow.
lines = containing(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), VISIBLE).filter(
    lambda line: "-->" not in line
)


@given(st.lists(lines, min_size=1, max_size=3), st.sampled_from(["00:00:01,000", "00:00:07,000", "00:00:09,000"]))
def test_any_translation_survives_a_round_trip(parts, key):
    assert_puts("subrip", SAMPLE, key, "\n".join(parts))


@given(st.text(st.sampled_from("a\n\r1:0,-> x"), max_size=40))
def test_no_translation_breaks_the_cues(translation):
    after = written("subrip", SAMPLE, {"00:00:01,000": translation}).decode()
    assert re.findall(r"(?m)^\d.*-->.*$", after) == re.findall(r"(?m)^\d.*-->.*$", SAMPLE)
    others = {key: text for key, text in texts("subrip", SAMPLE).items() if key != "00:00:01,000"}
    assert texts("subrip", after).items() >= others.items()
