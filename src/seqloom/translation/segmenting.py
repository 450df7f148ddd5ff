"""Split a text into lines, sentences and, if a sentence is too long, clauses. Nothing of the text is lost.

Line breaks and tabs always separate: each line and each cell of a table is translated by itself. Within a line
sentencex finds the sentences. It is rule-based, knows the abbreviations of many languages, and needs no model.

The time is linear in the length of the text. sentencex is not on every text, so it reads a line through a window of
bounded length.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from seqloom.errors import ModelError

WINDOW = 4000  # characters that sentencex reads at once; a longer sentence is cut

_SEPARATORS = "\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029"
_LINE = re.compile(f"[^{_SEPARATORS}]+|[{_SEPARATORS}]+")
# sentencex 1.0.32 panics at a wide space behind a single letter, and cannot read surrogates.
_UNREADABLE = re.compile(r"[\ud800-\udfff]|\s")
_CLAUSE_END = re.compile(r"(?<=[,;:–—])\s+|(?<=[，、；：،؛])\s*")
_SPACE = re.compile(r"\s+")

Span = tuple[int, int]
"""Start and end of a part of a text that must stay whole."""


class Segment(NamedTuple):
    """A part of a text that is translated by itself, and the white space behind it."""

    text: str  # without white space around it; empty before leading white space
    gap: str
    forced: bool = False  # it ends where no sentence does, because the sentence is too long


def split_text(text: str, language: str, whole: Sequence[Span] = ()) -> list[Segment]:
    """Split a text into sentences. Their texts and gaps, one after another, are the text.

    `language` is a code of ISO 639; rules for English apply to one that sentencex does not know. No boundary lies
    inside a span of `whole`; these are sorted and do not overlap.
    """
    segments: list[Segment] = []
    for match in _LINE.finditer(text):
        if match[0].isspace():
            segments.append(Segment("", match[0]))
            continue
        start = match.start()
        for end, forced in _boundaries(text, start, match.end(), language, whole):
            segments.extend(_stripped(text[start:end], forced))
            start = end
    return _merged(segments)


def split_clauses(sentence: str, most: int, count: Callable[[str], int], whole: Sequence[Span] = ()) -> list[Segment]:
    """Split a sentence into as few parts of similar length as possible, none with a `count` above `most`.

    Parts end at clause marks; without one nearby between words; without white space anywhere. A span of `whole` is
    never split, even if its count is above `most`.
    """
    atoms = list(_atoms(sentence, (0, len(sentence)), most, count, whole))
    total = sum(size for _, size in atoms)
    parts = -(-total // most)
    goal = total / parts  # equal parts: a long part and a short rest would be worse than two halves
    segments: list[Segment] = []
    start, held = atoms[0][0][0], 0
    for (begin, _), size in atoms:
        if held and (held + size > most or held + size / 2 > goal):
            segments += _stripped(sentence[start:begin], forced=True)
            start, held = begin, 0
        held += size
    segments += _stripped(sentence[start:], forced=False)
    return _merged(segments)


def _boundaries(text: str, start: int, end: int, language: str, whole: Sequence[Span]) -> Iterator[tuple[int, bool]]:
    """The ends of the sentences of a line, and whether the end was forced by the window."""
    while start < end:
        stop = min(start + WINDOW, end)
        ends = [start + each for each in _sentence_ends(text[start:stop], language)]
        ends = [each for each in ends if not _inside(each, whole)]
        if stop == end:
            yield from ((each, False) for each in ends)
            yield end, False
            return
        if ends:  # the last sentence may go on behind the window
            yield from ((each, False) for each in ends)
            start = ends[-1]
            continue
        start = _forced_end(text, start, stop, whole)
        yield min(start, end), start < end


def _sentence_ends(window: str, language: str) -> list[int]:
    """Where sentences end inside the window, its own end left out."""
    try:
        import sentencex
    except ImportError as error:
        raise ModelError("texts are split into sentences by sentencex: pip install sentencex") from error
    try:
        sentences = sentencex.segment(language, _UNREADABLE.sub(" ", window))
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # from Rust; derives from BaseException and cannot be imported
            raise
        return []
    ends: list[int] = []
    position = 0
    for sentence in sentences[:-1]:
        position += len(sentence)
        ends.append(position)
    return ends if position + sum(map(len, sentences[-1:])) == len(window) else []


def _forced_end(text: str, start: int, stop: int, whole: Sequence[Span]) -> int:
    """Where to cut a sentence that is longer than the window: behind the last clause, word or character."""
    window = text[start:stop]
    for pattern in (_CLAUSE_END, _SPACE):
        ends = [start + match.end() for match in pattern.finditer(window)]
        for end in reversed(ends):
            if end > start + WINDOW // 2 and not _inside(end, whole):
                return end
    span = _span_around(stop, whole)
    return stop if span is None else span[1]


def _atoms(
    sentence: str, span: Span, most: int, count: Callable[[str], int], whole: Sequence[Span], level: int = 0
) -> Iterator[tuple[Span, int]]:
    """The parts that a sentence is put together from, each with its count; no larger than `most` where possible."""
    start, end = span
    size = count(sentence[start:end])
    if (size <= most and level) or end - start <= 1:
        yield span, size
        return
    for inner in _divided(sentence, span, level, whole):
        if inner == span and level > len(_LEVELS):  # one span that must stay whole
            yield span, size
        else:
            yield from _atoms(sentence, inner, most, count, whole, level + 1)


_LEVELS = (_CLAUSE_END, _SPACE)


def _divided(sentence: str, span: Span, level: int, whole: Sequence[Span]) -> list[Span]:
    """The span divided at clause marks, between words or in the middle, by level."""
    start, end = span
    if level < len(_LEVELS):
        cuts = [start + match.end() for match in _LEVELS[level].finditer(sentence[start:end])]
    else:
        cuts = [(start + end) // 2]
    cuts = [cut for cut in cuts if start < cut < end and not _inside(cut, whole)]
    return list(zip([start, *cuts], [*cuts, end], strict=True))


def _inside(position: int, whole: Sequence[Span]) -> bool:
    return _span_around(position, whole) is not None


def _span_around(position: int, whole: Sequence[Span]) -> Span | None:
    index = bisect_left(whole, (position, 0)) - 1
    if index >= 0 and whole[index][0] < position < whole[index][1]:
        return whole[index]
    return None


def _stripped(part: str, forced: bool) -> Iterator[Segment]:
    body = part.strip()
    if not body:
        if part:
            yield Segment("", part)
        return
    begin = part.index(body)
    if begin:
        yield Segment("", part[:begin])
    yield Segment(body, part[begin + len(body) :], forced)


def _merged(segments: Sequence[Segment]) -> list[Segment]:
    """Add white space that has no text of its own to the gap before it."""
    merged: list[Segment] = []
    for each in segments:
        if not each.text and merged:
            merged[-1] = merged[-1]._replace(gap=merged[-1].gap + each.gap)
        else:
            merged.append(each)
    return merged
