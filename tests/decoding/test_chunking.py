"""Chunks join to the text, none has too many placeholders, and cuts are at the ends of sentences."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqloom.decoding.chunking import Chunk, is_verbatim, split_into_chunks
from seqloom.text import STANDARD_FORMS, normalise

pieces = st.sampled_from(["{x}", "<b>", "</b>", "%s", " ", ". ", "a", " word", ", ", "{y}", "&nbsp;", " 7", "\u3002"])


@given(st.lists(pieces, max_size=60).map("".join).map(normalise), st.integers(1, 5))
def test_chunks_and_gaps_join_to_the_text(text: str, most: int) -> None:
    found = split_into_chunks(text, STANDARD_FORMS, most)
    assert "".join(chunk.text + chunk.gap for chunk in found) == text
    assert [each for chunk in found for each in chunk.placeholders] == STANDARD_FORMS.find(text)
    assert all(len(chunk.placeholders) <= most for chunk in found)
    assert len(found) == 1 or all(chunk.placeholders for chunk in found)


def test_a_text_with_few_placeholders_is_one_chunk() -> None:
    assert split_into_chunks("a {x} b. {y}", STANDARD_FORMS, 2) == [Chunk("a {x} b. {y}", ["{x}", "{y}"], "")]
    assert split_into_chunks("", STANDARD_FORMS, 2) == [Chunk("", [], "")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One {a} and {b}. Two {c} and {d}.", ["One {a} and {b}.", "Two {c} and {d}."]),
        ("One {a} two {b}, three {c} and {d}", ["One {a} two {b},", "three {c} and {d}"]),
        ("{a} one, two {b} three {c} {d}", ["{a} one,", "two {b} three {c} {d}"]),
        ("{a}{b}{c}{d}", ["{a}{b}", "{c}{d}"]),
    ],
)
def test_a_text_is_cut_at_the_end_of_a_sentence_or_clause(text: str, expected: list[str]) -> None:
    assert [chunk.text for chunk in split_into_chunks(text, STANDARD_FORMS, 3)] == expected


def test_a_chunk_without_letters_besides_placeholders_needs_no_translation() -> None:
    def verbatim(text: str) -> bool:
        return is_verbatim(split_into_chunks(text, STANDARD_FORMS, 9)[0], STANDARD_FORMS)

    assert [verbatim(text) for text in ("{x}", "{x}: 7 %", "<b>%s</b>", "")] == [True] * 4
    assert [verbatim(text) for text in ("{x} a", "7", "\u5b57{x}")] == [False] * 3
