"""Repair a translated text so that it contains exactly the placeholders of its source.

If the tokenizer has slots, the search already ensures this (`required_slots`). This module handles the remaining cases:
models without slots, placeholders that the model invented, placeholders that are not recognised next to other text,
tags that are not nested, and broken characters. The result is checked with the regular expression that finds the
placeholders of a source. A text without errors is returned unchanged. The time is linear in the text's length.
"""

import re
from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Sequence

from seqloom.text import Forms, clean
from seqloom.tokenization.tags import NO_PARTNER, name_of, partners

Part = tuple[str, bool]
"""A piece of a text, and True if it is a placeholder of the source."""

Locator = Callable[[int], float]
"""Maps the index of a source's placeholder to its relative position in the target: 0 is the start, 1 the end."""

_PASSES = 8
_MARKS = (".", ",", ";", ":", "!", "?")
_SPACED = "\u0590"  # scripts before this code point put spaces between words
_BROKEN = "\N{REPLACEMENT CHARACTER}"
_PLAIN = re.compile(r"[^\w\s.,!?-]")
_CLOSES = ".!?\u2026\u3002\uff01\uff1f "


def find(parts: Sequence[Part], wanted: Sequence[str], forms: Forms) -> list[Part]:
    """Return `parts` with the placeholders of `wanted` that are still inside text split off as parts of their own.

    If a placeholder occurs more often than in `wanted`, only its first occurrences are split off.
    """
    left = Counter(wanted)
    left.subtract(text for text, is_placeholder in parts if is_placeholder)
    if not any(count > 0 for count in left.values()):
        return list(parts)
    found: list[Part] = []
    for text, is_placeholder in parts:
        at = 0
        if not is_placeholder:
            for match in forms.regex.finditer(text):
                if left[match[0]] > 0:
                    left[match[0]] -= 1
                    found += [(text[at : match.start()], False), (match[0], True)]
                    at = match.end()
        found.append((text[at:], is_placeholder))
    return [part for part in found if part[0]]


def complete(parts: Sequence[Part], wanted: Sequence[str], locate: Locator, fixed: int = 0) -> tuple[list[Part], int]:
    """Return `parts` with surplus placeholders removed and missing ones inserted, and the number inserted.

    A missing placeholder is inserted between words at the position that `locate` returns, in the order of `wanted`, and
    never within the first `fixed` characters.
    """
    left = Counter(wanted)
    kept: list[Part] = []
    for part in parts:
        if part[1]:
            left[part[0]] -= 1
            if left[part[0]] < 0:
                continue
        kept.append(part)
    missing: list[int] = []
    for index in range(len(wanted) - 1, -1, -1):  # among equal placeholders, count the last ones as missing
        if left[wanted[index]] > 0:
            left[wanted[index]] -= 1
            missing.append(index)
    if not missing:
        return kept, 0
    return _insert(kept, wanted, missing[::-1], locate, fixed), len(missing)


def _insert(
    parts: list[Part], wanted: Sequence[str], missing: Sequence[int], locate: Locator, fixed: int
) -> list[Part]:
    words: list[Part] = []  # a space belongs to the following word
    for text, is_placeholder in parts:
        words += [(text, True)] if is_placeholder else [(word, False) for word in re.findall(r"\s*\S+|\s+$", text)]
    ends, total = [0], 0
    for text, _ in words:
        total += len(text)
        ends.append(total)
    last = len(words)
    if words and not words[-1][1] and fixed < total:
        stem = words[-1][0].rstrip(_CLOSES)
        if stem and stem != words[-1][0]:  # insertions at the end go before the full stop
            words[-1:] = [(stem, False), (words[-1][0][len(stem) :], False)]
    put: defaultdict[int, list[str]] = defaultdict(list)
    at = before = bisect_left(ends, min(fixed, total))
    for index in missing:
        place = min(max(locate(index), 0.0), 1.0) * total
        while at < last and abs(ends[at + 1] - place) <= abs(ends[at] - place):
            at += 1
        before = max(before, at)
        put[before].append(wanted[index])
    result: list[Part] = []
    for position in range(len(words) + 1):
        for placeholder in put[position]:
            opens, closes = _sides(placeholder)
            if result and not closes and not _ends_open(result[-1][0]):
                result.append((" ", False))
            result.append((placeholder, True))
            follows = words[position][0] if position < len(words) else ""
            if not opens and follows and follows[0].isalnum():
                result.append((" ", False))
        if position < len(words):
            text, is_placeholder = words[position]
            if put[position] and result and _sides(result[-1][0])[0]:
                text = text.lstrip()  # the space is before the opening tag
            result.append((text, is_placeholder))
    return result


def space(parts: Sequence[Part], loose: Collection[str]) -> list[Part]:
    """Return `parts` with a space inserted before each `loose` placeholder that has none before it."""
    spaced: list[Part] = []
    for text, is_placeholder in parts:
        if is_placeholder and text in loose and spaced and _glues(*spaced[-1]):
            spaced.append((" ", False))
        spaced.append((text, is_placeholder))
    return spaced


def _glues(text: str, is_placeholder: bool) -> bool:
    if is_placeholder:
        return not _sides(text)[0]
    return text[-1:] in _MARKS or (text[-1:].isalnum() and text[-1] < _SPACED)


def _sides(placeholder: str) -> tuple[bool, bool]:
    """Return whether a placeholder is an opening tag, and whether it is a closing tag."""
    name, opens = name_of(placeholder)
    return name is not None and opens, name is not None and not opens


def _ends_open(text: str) -> bool:
    return text[-1:].isspace() or text[-1:] in "([{\u201e\u201c\u00ab\u2018" or _sides(text)[0]


def nest(parts: Sequence[Part], wanted: Sequence[str]) -> list[Part]:
    """Return `parts` with tags nested as in the source; tags that are not are moved into the order of the source."""
    source = partners(wanted)
    names = {
        name_of(placeholder)[0] for placeholder, partner in zip(wanted, source, strict=True) if partner != NO_PARTNER
    }
    if not names:
        return list(parts)
    at = [index for index, (text, is_one) in enumerate(parts) if is_one and name_of(text)[0] in names]
    there = [parts[index][0] for index in at]
    if NO_PARTNER not in partners(there):
        return list(parts)
    mended = list(parts)
    for index, tag in zip(at, [tag for tag in wanted if name_of(tag)[0] in names], strict=False):
        mended[index] = (tag, True)
    return mended


def repair(
    parts: Sequence[Part], wanted: Sequence[str], raw: Sequence[str], forms: Forms, *, normal: bool = True
) -> tuple[str, bool]:
    """Return the text of `parts`, and whether its placeholders are exactly `wanted`.

    `raw` has the original spelling of each in the source. Text that only looks like a placeholder is removed. A
    placeholder that is not recognised because of the text around it gets spaces on both sides. If `normal`, the text
    is normalised.
    """
    arrange = tidy if normal else list
    parts = arrange(parts)
    for attempt in range(_PASSES):
        mended = _mend(parts, forms, plain=attempt == _PASSES - 2)
        if mended is None:
            break
        parts = arrange(mended)
    for spelled, expected in ((_as_in_source(parts, wanted, raw), raw), (parts, wanted)):
        text = "".join(text for text, _ in spelled)
        if sorted(forms.find(text)) == sorted(expected):
            return text, True
    return text, False


def tidy(parts: Sequence[Part]) -> list[Part]:
    """Return `parts` with text normalised, adjacent pieces of text joined, and broken characters removed."""
    tidied: list[Part] = []
    stretch = ""
    for text, is_placeholder in [*parts, ("", True)]:
        if not is_placeholder:
            stretch += text
            continue
        cleaned = clean(stretch).replace(_BROKEN, "")
        if cleaned:
            tidied.append((cleaned, False))
        tidied.append((text, True))
        stretch = ""
    del tidied[-1]
    if tidied and not tidied[-1][1]:
        tidied[-1] = (tidied[-1][0].rstrip(), False)
    if tidied and not tidied[0][1]:
        tidied[0] = (tidied[0][0].lstrip(), False)
    return [part for part in tidied if part[0]]


def _mend(parts: Sequence[Part], forms: Forms, plain: bool) -> list[Part] | None:
    """Return `parts` changed so that fewer wrong placeholders are found in their text, or None if none are wrong.

    If `plain`, only letters, digits and common punctuation stay in the text, and every placeholder gets spaces around
    it.
    """
    text = "".join(text for text, _ in parts)
    spans: list[tuple[int, int]] = []
    at = 0
    for each, is_placeholder in parts:
        if is_placeholder:
            spans.append((at, at + len(each)))
        at += len(each)
    found = [match.span() for match in forms.regex.finditer(text)]
    if found == spans:
        return None
    if plain:
        return [
            part for each in parts for part in (each if each[1] else (_PLAIN.sub(" ", each[0]), False), (" ", False))
        ]
    good = set(spans) & set(found)
    mended = _without(parts, [span for span in found if span not in good], unread=set())
    if sum(len(each) for each, _ in mended) < at:
        return mended
    return _without(parts, [], unread=set(spans) - good)


def _without(parts: Sequence[Part], false: Sequence[tuple[int, int]], unread: set[tuple[int, int]]) -> list[Part]:
    """Return `parts` without the text in spans `false`, and with spaces around the placeholders in spans `unread`."""
    mended: list[Part] = []
    start, first = 0, 0
    for text, is_placeholder in parts:
        end = start + len(text)
        while first < len(false) and false[first][1] <= start:
            first += 1
        if is_placeholder:
            spaced = (start, end) in unread
            mended += [(" ", False), (text, True), (" ", False)] if spaced else [(text, True)]
        else:
            at, index = start, first
            while index < len(false) and false[index][0] < end:
                mended.append((text[at - start : max(at, false[index][0]) - start], False))
                at = max(at, min(end, false[index][1]))
                index += 1
            mended.append((text[at - start :], False))
        start = end
    return mended


def _as_in_source(parts: Sequence[Part], wanted: Sequence[str], raw: Sequence[str]) -> list[Part]:
    spellings: defaultdict[str, deque[str]] = defaultdict(deque)
    for placeholder, spelling in zip(wanted, raw, strict=True):
        spellings[placeholder].append(spelling)
    return [
        (spellings[text].popleft(), True) if is_one and spellings[text] else (text, is_one) for text, is_one in parts
    ]
