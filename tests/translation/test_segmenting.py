"""Splitting loses no character of a text and takes time linear in its length."""

import random

import pytest
import sentencex
from hypothesis import given
from hypothesis import strategies as st

from seqloom.translation.segmenting import WINDOW, Segment, split_clauses, split_text
from tests.examples import VISIBLE

PIECES = [
    "One. ",
    "two, ",
    "Dr. X\u00a0. ",
    "\n",
    "\t",
    "\r\n",
    "\u2028",
    "\x85",
    "  ",
    "好。",
    "a",
    "“",
    "1. ",
    "{x}",
    "\ud800",
]
texts = st.one_of(st.text(), st.lists(st.sampled_from(PIECES)).map("".join))


def joined(segments):
    return "".join(segment.text + segment.gap for segment in segments)


@given(texts, st.sampled_from(["en", "de", "zh", "ja", "ar", "xx", "", "pt-BR"]))
def test_joining_segments_gives_the_text(text, language):
    segments = split_text(text, language)
    assert joined(segments) == text
    assert all(segment.text == segment.text.strip() for segment in segments)
    assert all(segment.gap.isspace() or not segment.gap for segment in segments)
    assert all(segment.text for segment in segments[1:])


@given(st.tuples(texts, VISIBLE, texts).map("".join), st.integers(1, 20))
def test_joining_clauses_gives_the_sentence_and_none_is_too_long(text, most):
    text = text.strip()
    segments = split_clauses(text, most, len)
    assert joined(segments) == text
    assert all(len(segment.text) <= most for segment in segments)


@pytest.mark.parametrize(
    ("language", "text", "sentences"),
    [
        ("en", "Turn on the light.  Turn it off! Why?", ["Turn on the light.", "Turn it off!", "Why?"]),
        ("en", "Dr. Smith set it to e.g. 21.5 degrees. Done", ["Dr. Smith set it to e.g. 21.5 degrees.", "Done"]),
        ("en", "Open v2.0.1 at https://a.b/c.d?e=f. Then go", ["Open v2.0.1 at https://a.b/c.d?e=f.", "Then go"]),
        ("de", "Das ist z. B. ein Test. Am 3. Mai.", ["Das ist z. B. ein Test.", "Am 3. Mai."]),
        ("zh", "你好。今天天气很好！真的吗？", ["你好。", "今天天气很好！", "真的吗？"]),
        ("ja", "おはよう。元気ですか？はい", ["おはよう。", "元気ですか？", "はい"]),
        ("en", "a wrapped\nline\r\n\r\n\tcell\tcell", ["a wrapped", "line", "cell", "cell"]),
        ("en", "a\u2028b\x85c\x1ed", ["a", "b", "c", "d"]),
    ],
)
def test_sentences_lines_and_cells_are_separated(language, text, sentences):
    assert [segment.text for segment in split_text(text, language) if segment.text] == sentences


def test_a_line_with_many_sentences_is_split_at_each():
    text = "Turn on the light in the kitchen. " * 300
    segments = split_text(text, "en")
    assert [segment.text for segment in segments] == ["Turn on the light in the kitchen."] * 300
    assert not any(segment.forced for segment in segments)


def test_a_placeholder_is_never_split():
    text = 'See <a title="One. Two">this. That</a> now'
    protected = [(4, 24), (34, 38)]
    assert [each.text for each in split_text(text, "en", protected)] == [
        'See <a title="One. Two">this.',
        "That</a> now",
    ]
    assert [each.text for each in split_text("a" * 3 + "{" + "b. " * WINDOW + "}", "en", [(3, 5 + 3 * WINDOW)])] == [
        "a" * 3 + "{" + "b. " * WINDOW + "}"
    ]


def test_a_sentence_longer_than_the_window_is_split_at_clauses():
    text = "some words here, " * (WINDOW // 10)
    segments = split_text(text, "en")
    assert joined(segments) == text
    assert all(segment.text.endswith("here,") for segment in segments)
    assert [segment.forced for segment in segments] == [True] * (len(segments) - 1) + [False]
    assert max(len(segment.text) for segment in segments) <= WINDOW


@pytest.mark.parametrize("piece", ["好。", "“", "a", "Dr. ", "(1) ", "Turn on the light. ", "word, "])
def test_sentencex_reads_each_character_a_bounded_number_of_times(piece, monkeypatch):
    seen = []

    def counted(language, text):
        seen.append(len(text))
        return original(language, text)

    original = sentencex.segment
    monkeypatch.setattr(sentencex, "segment", counted)
    text = (piece * 100_000)[:100_000]
    split_text(text, "en")
    assert max(seen) <= WINDOW
    assert sum(seen) <= 2 * len(text) + WINDOW


def test_if_sentencex_panics_the_text_is_one_sentence(monkeypatch):
    class PanicException(BaseException):
        pass

    def panics(language, text):
        raise PanicException

    monkeypatch.setattr(sentencex, "segment", panics)
    assert split_text("One. Two.", "en") == [Segment("One. Two.", "")]


def test_an_interrupt_is_raised(monkeypatch):
    def interrupted(language, text):
        raise KeyboardInterrupt

    monkeypatch.setattr(sentencex, "segment", interrupted)
    with pytest.raises(KeyboardInterrupt):
        split_text("One. Two.", "en")


def words(text):
    return len(text.split())


@pytest.mark.parametrize(
    ("sentence", "most", "parts"),
    [
        ("one two, three four; five six", 4, ["one two, three four;", "five six"]),
        ("one two three four five six", 4, ["one two three", "four five six"]),
        ("a, b, c, d, e, f", 3, ["a, b, c,", "d, e, f"]),
        ("one", 1, ["one"]),
    ],
)
def test_long_sentences_are_split_at_clauses_or_words_into_similar_parts(sentence, most, parts):
    found = split_clauses(sentence, most, words)
    assert [each.text for each in found] == parts
    assert [each.forced for each in found] == [True] * (len(parts) - 1) + [False]


def test_clauses_are_found_in_scripts_without_spaces():
    parts = split_clauses("打开厨房的灯，关闭卧室的灯；好", 8, len)
    assert [each.text for each in parts] == ["打开厨房的灯，", "关闭卧室的灯；好"]


def test_a_protected_span_is_not_split_even_if_too_long():
    sentence = "go {" + "x" * 50 + "} now"
    parts = split_clauses(sentence, 10, len, [(3, 55)])
    assert joined(parts) == sentence
    assert any("{" + "x" * 50 + "}" in each.text for each in parts)


def test_random_protected_spans_are_not_split():
    draw = random.Random(1)
    for _ in range(200):
        text = "".join(draw.choice(["a. ", "b, ", "c ", "好。", "d", "\n", "\t"]) for _ in range(60))
        cuts = sorted(draw.sample(range(len(text)), 6))
        protected = list(zip(cuts[::2], cuts[1::2], strict=True))
        segments = split_text(text, "en", protected)
        position, ends = 0, []
        for segment in segments[:-1]:
            ends.append(position + len(segment.text))
            position += len(segment.text + segment.gap)
        # White space at the end of a span may become the gap after it.
        inside = [(start, stop) for end in ends for start, stop in protected if start < end < len(text[:stop].rstrip())]
        assert not inside
