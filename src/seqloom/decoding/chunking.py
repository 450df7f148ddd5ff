"""Split texts with more placeholders than a model can handle into chunks, at the ends of sentences or clauses.

Each chunk is translated separately. The time is linear.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from seqloom.text import Forms

_SENTENCE = re.compile(r"[.!?\u2026\u3002\uff01\uff1f][\"'\u201d\u2019)\]]*$")
_CLAUSE = re.compile(r"[,;:\u2013\u2014\u3001\uff0c\uff1b|]$")


class Chunk(NamedTuple):
    """A part of a text, its placeholders in order, and the white space after it."""

    text: str
    placeholders: list[str]
    gap: str


def split_into_chunks(text: str, forms: Forms, most: int) -> list[Chunk]:
    """Split a normalised text into chunks with at most `most` placeholders each; usually there is only one."""
    spans = [match.span() for match in forms.regex.finditer(text)]
    if len(spans) <= most:
        return [Chunk(text, [text[start:end] for start, end in spans], "")]
    return list(_cut(text, spans, most))


def is_verbatim(chunk: Chunk, forms: Forms) -> bool:
    """Return whether a chunk needs no translation: it is empty, or has placeholders and no letters besides them."""
    if not chunk.placeholders:
        return not chunk.text
    return not any(map(str.isalpha, forms.regex.sub(" ", chunk.text)))


def _cut(text: str, spans: list[tuple[int, int]], most: int) -> Iterator[Chunk]:
    first, start = 0, 0
    while first < len(spans):
        last = len(spans)
        if last - first > most:
            pieces = -(-(last - first) // most)  # of similar size, with at least half of `most` placeholders
            fair = -(-(last - first) // pieces)
            last = _best(text, spans, range(first + max(1, most // 2), first + most + 1), first + fair)
        end = spans[last][0] if last < len(spans) else len(text)
        place = _place(text, spans[last - 1][1], end) if last < len(spans) else end
        part = text[start:place]
        kept = part.rstrip(" ")
        follows = text[place:].startswith(" ")
        gap = " " if (len(kept) < len(part) or follows) and last < len(spans) else ""
        yield Chunk(kept, [text[a:b] for a, b in spans[first:last]], gap)
        first, start = last, place + (1 if follows else 0)


def _best(text: str, spans: list[tuple[int, int]], counts: range, fair: int) -> int:
    """Return the placeholder before which to cut: after a sentence, clause or word, and then nearest to `fair`."""

    def quality(index: int) -> tuple[int, int]:
        between = text[spans[index - 1][1] : spans[index][0]]
        return -_rank(between), abs(index - fair)

    return min(counts, key=quality)


def _rank(between: str) -> int:
    words = between.split(" ")
    ends = words[:-1]
    if any(_SENTENCE.search(word) for word in ends):
        return 3
    if any(_CLAUSE.search(word) for word in ends):
        return 2
    return 1 if ends else 0


def _place(text: str, start: int, end: int) -> int:
    """Return where to cut `text` between two placeholders: after a sentence, after a clause, or at the last space."""
    between = text[start:end]
    spaces = [match.start() for match in re.finditer(" ", between)]
    for pattern in (_SENTENCE, _CLAUSE):
        for space in reversed(spaces):
            if pattern.search(between[max(0, space - 4) : space]):
                return start + space
    return start + spaces[-1] if spaces else end
