"""Split a text into lines, sentences and, if a sentence is too long, clauses. No character is lost.

Line breaks and tabs separate, except within a tag or another placeholder: each line and each cell of a table is
translated separately. Within a line, sentencex finds the sentences; it uses rules and lists of abbreviations, and needs
no model.

Splitting takes time linear in the length of the text. sentencex itself does not always, so it gets at most `WINDOW`
characters at a time.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from seqloom.errors import ModelError

WINDOW = 4000  # characters that sentencex reads at once; a longer sentence is split

_SEPARATORS = "\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029"
_LINE = re.compile(f"[^{_SEPARATORS}]+|[{_SEPARATORS}]+")
# sentencex 1.0.32 panics on a wide space after a single letter, and cannot read surrogates.
_UNREADABLE = re.compile(r"[\ud800-\udfff]|\s")
_CLAUSE_END = re.compile(r"(?<=[,;:–—])\s+|(?<=[，、；：،؛])\s*")
_SPACE = re.compile(r"\s+")

Span = tuple[int, int]
"""Start and end of a part of a text that must not be split."""


class Segment(NamedTuple):
    """A part of a text that is translated separately, and the white space after it."""

    text: str  # stripped; empty if the text begins with white space
    gap: str
    forced: bool = False  # the sentence was too long and was split here


def split_text(text: str, language: str, protected: Sequence[Span] = ()) -> list[Segment]:
    """Split a text into sentences. Joining their texts and gaps gives the original text.

    `language` is an ISO 639 code; the rules for English apply to a language that sentencex does not support. No span of
    `protected`, which must be sorted and must not overlap, is split.
    """
    segments: list[Segment] = []
    for start, line_end in _lines(text, protected):
        if text[start:line_end].isspace():
            segments.append(Segment("", text[start:line_end]))
            continue
        for end, forced in _boundaries(text, start, line_end, language, protected):
            segments.extend(_stripped(text[start:end], forced))
            start = end
    return _merged(segments)


def split_clauses(
    sentence: str, most: int, count: Callable[[str], int], protected: Sequence[Span] = ()
) -> list[Segment]:
    """Split a sentence into as few parts of similar length as possible, each with a `count` of at most `most`.

    Parts end at clause marks, or else between words, or else anywhere. No span of `protected` is split, even if its
    count is above `most`.
    """
    atoms = list(_atoms(sentence, (0, len(sentence)), most, count, protected))
    total = sum(size for _, size in atoms)
    parts = -(-total // most)
    goal = total / parts  # aim at equal parts: two halves translate better than a long part and a short rest
    segments: list[Segment] = []
    start, held = atoms[0][0][0], 0
    for (begin, _), size in atoms:
        if held and (held + size > most or held + size / 2 > goal):
            segments += _stripped(sentence[start:begin], forced=True)
            start, held = begin, 0
        held += size
    segments += _stripped(sentence[start:], forced=False)
    return _merged(segments)


def _lines(text: str, protected: Sequence[Span]) -> Iterator[Span]:
    """Yield the lines, and what separates them. Separators within a protected span do not count."""
    start = 0
    for match in _LINE.finditer(text):
        if not _inside(match.end(), protected):
            yield start, match.end()
            start = match.end()


def _boundaries(
    text: str, start: int, end: int, language: str, protected: Sequence[Span]
) -> Iterator[tuple[int, bool]]:
    """Yield the end of each sentence in a line, and whether the window forced it."""
    while start < end:
        stop = min(start + WINDOW, end)
        ends = [start + each for each in _sentence_ends(text[start:stop], language)]
        ends = [each for each in ends if not _inside(each, protected)]
        if stop == end:
            yield from ((each, False) for each in ends)
            yield end, False
            return
        if ends:  # the last sentence may continue after the window
            yield from ((each, False) for each in ends)
            start = ends[-1]
            continue
        start = _forced_end(text, start, stop, protected)
        yield min(start, end), start < end


def _sentence_ends(window: str, language: str) -> list[int]:
    """Return the positions at which sentences end, without the end of the window."""
    try:
        import sentencex
    except ImportError as error:
        raise ModelError("splitting texts into sentences needs sentencex: pip install sentencex") from error
    try:
        sentences = sentencex.segment(language, _UNREADABLE.sub(" ", window))
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # a Rust panic: a BaseException that cannot be imported
            raise
        return []
    ends: list[int] = []
    position = 0
    for sentence in sentences[:-1]:
        position += len(sentence)
        ends.append(position)
    return ends if position + sum(map(len, sentences[-1:])) == len(window) else []


def _forced_end(text: str, start: int, stop: int, protected: Sequence[Span]) -> int:
    """Return where to split a sentence that is longer than the window: after the last clause, word or character."""
    window = text[start:stop]
    for pattern in (_CLAUSE_END, _SPACE):
        ends = [start + match.end() for match in pattern.finditer(window)]
        for end in reversed(ends):
            if end > start + WINDOW // 2 and not _inside(end, protected):
                return end
    span = _span_around(stop, protected)
    return stop if span is None else span[1]


def _atoms(
    sentence: str, span: Span, most: int, count: Callable[[str], int], protected: Sequence[Span], level: int = 0
) -> Iterator[tuple[Span, int]]:
    """Yield the smallest parts of a sentence, each with its count, which is at most `most` if possible."""
    start, end = span
    size = count(sentence[start:end])
    if (size <= most and level) or end - start <= 1:
        yield span, size
        return
    for inner in _divided(sentence, span, level, protected):
        if inner == span and level > len(_LEVELS):  # a span that must not be split
            yield span, size
        else:
            yield from _atoms(sentence, inner, most, count, protected, level + 1)


_LEVELS = (_CLAUSE_END, _SPACE)


def _divided(sentence: str, span: Span, level: int, protected: Sequence[Span]) -> list[Span]:
    """Split a span at clause marks (level 0), between words (level 1) or in the middle (level 2 and above)."""
    start, end = span
    if level < len(_LEVELS):
        cuts = [start + match.end() for match in _LEVELS[level].finditer(sentence[start:end])]
    else:
        cuts = [(start + end) // 2]
    cuts = [cut for cut in cuts if start < cut < end and not _inside(cut, protected)]
    return list(zip([start, *cuts], [*cuts, end], strict=True))


def _inside(position: int, protected: Sequence[Span]) -> bool:
    return _span_around(position, protected) is not None


def _span_around(position: int, protected: Sequence[Span]) -> Span | None:
    index = bisect_left(protected, (position, 0)) - 1
    if index >= 0 and protected[index][0] < position < protected[index][1]:
        return protected[index]
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
    """Append segments without text to the gap of the segment before them."""
    merged: list[Segment] = []
    for each in segments:
        if not each.text and merged:
            merged[-1] = merged[-1]._replace(gap=merged[-1].gap + each.gap)
        else:
            merged.append(each)
    return merged
