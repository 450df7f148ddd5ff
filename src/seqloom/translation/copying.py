"""Copy URLs, e-mail addresses, emoji and scripts unknown to the model from the source into the translation.

Inside a sentence, each copied part is replaced by a mask, a placeholder such as `{0}` that does not occur in the
sentence, and restored after translation. A sentence with nothing else to translate does not go through the model.
"""

import re
import string
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import count
from typing import NamedTuple

from seqloom.text import STANDARD_FORMS, Forms

_URL = r"(?:(?<![A-Za-z0-9+.\-])[A-Za-z][A-Za-z0-9+.\-]{1,15}://|(?<![\w.])www\.(?=\w))[^\s<>\"'`“”«»、。，；]+"
_EMAIL = r"(?<![\w.+\-])[\w.+\-]{1,64}@(?:[\w\-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w\-])"
_PICTURE = "\u2300-\u23ff\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff"
_JOINER = "\u200d\ufe0f\u20e3\U000e0020-\U000e007f"  # joins emoji into one, or modifies the previous one
_EMOJI = f"[{_PICTURE}](?:[{_PICTURE}{_JOINER}]| (?=[{_PICTURE}]))*|[0-9#*]\ufe0f?\u20e3"
_TRAILING = ".,;:!?…'"
_CLOSING = {")": "(", "]": "["}

# The bullet, number or letter of a list item, and Markdown's quotation and heading marks.
_LEAD = re.compile(r"(?:[-*•‣·▪–—]|#{1,6}|>+|\(?\d{1,3}[.)]|\(?[A-Za-z][)])\s+(?=\S)")
_MASK = re.compile(r"\{\d+\}")


class Part(NamedTuple):
    """A part of a text that must not be split: a copied part or a placeholder."""

    start: int
    end: int
    copied: bool


@lru_cache
def _fixed(forms: Forms) -> re.Pattern[str]:
    return re.compile(f"(?P<copied>{_URL}|{_EMAIL}|{_EMOJI})|(?P<placeholder>{forms.regex.pattern})")


def fixed_parts(text: str, forms: Forms = STANDARD_FORMS) -> list[Part]:
    """Return the placeholders, URLs, e-mail addresses and emoji of a text, in order."""
    found = []
    for match in _fixed(forms).finditer(text):
        if match["placeholder"] is not None:
            found.append(Part(*match.span(), copied=False))
        else:
            found.append(Part(match.start(), match.start() + _kept(match[0]), copied=True))
    return found


def lead(sentence: str) -> int:
    """Return the length of the list or heading mark at the start of a sentence, with the space after it; 0 if none."""
    match = _LEAD.match(sentence)
    return match.end() if match else 0


def has_content(copied: str) -> bool:
    """Return whether a copied text is more than punctuation or a list mark."""
    return lead(f"{copied} x") <= len(copied) and not all(character in string.punctuation for character in copied)


class Copied(NamedTuple):
    """A sentence with its copied parts masked, and those parts in order."""

    text: str
    parts: tuple[tuple[str, str], ...]  # mask, part
    empty: bool  # nothing is left to translate

    def restore(self, translation: str) -> tuple[str, bool]:
        """Return the translation with masks replaced by their parts, and whether each mask occurred exactly once.

        If a mask is missing, its part is appended; if it occurs more than once, only the first one is replaced and the
        others are removed.
        """
        right = True
        for mask, part in self.parts:
            before, found, after = translation.partition(mask)
            if not found:
                translation, right = f"{translation} {part}".lstrip(), False
                continue
            right = right and mask not in after
            translation = before + part + after.replace(mask, "")
        return translation, right


class CopyRules:
    """Decides which parts of a sentence are copied.

    `in_vocabulary` returns whether the model's vocabulary has a character. Placeholders of `forms` are not copied but
    left to the model.
    """

    def __init__(self, in_vocabulary: Callable[[str], bool], forms: Forms = STANDARD_FORMS) -> None:
        self._in_vocabulary, self._forms = in_vocabulary, forms
        self._seen: dict[str, bool] = {}

    def apply(self, sentence: str) -> Copied:
        """Return the sentence with the copied parts masked."""
        parts = self._all_parts(sentence)
        copied = [part for part in parts if part.copied]
        masks = _masks(sentence)
        found: list[tuple[str, str]] = []
        text, left, position = [], [], 0  # left: text that is neither copied nor a placeholder
        for part in parts:
            left.append(sentence[position : part.start])
            text.append(sentence[position : part.start])
            piece = sentence[part.start : part.end]
            if part.copied:
                mask = next(masks)
                found.append((mask, piece))
                text.append(mask)
            else:
                text.append(piece)
            position = part.end
        left.append(sentence[position:])
        text.append(sentence[position:])
        empty = not any(character.isalpha() for each in left for character in each)
        return Copied("".join(text) if copied else sentence, tuple(found), empty)

    def _all_parts(self, sentence: str) -> list[Part]:
        """Return the fixed parts, and between them the runs of characters unknown to the model."""
        parts: list[Part] = []
        fixed = fixed_parts(sentence, self._forms)
        strange = self._strange(sentence, fixed)
        position = 0
        for part in [*fixed, Part(len(sentence), len(sentence), copied=False)]:
            if strange:
                runs = _runs(sentence, position, part.start, strange)
                parts += [Part(start, end, copied=True) for start, end in runs]
            if part.end > part.start:
                parts.append(part)
            position = part.end
        return parts

    def _strange(self, sentence: str, fixed: list[Part]) -> frozenset[str]:
        """Return letters and symbols that the model cannot write.

        A letter is returned if the vocabulary has less than half of the sentence's letters of its script, a symbol if
        the vocabulary does not have it.
        """
        if sentence.isascii():
            return frozenset()
        whole = list(sentence)
        for part in fixed:
            whole[part.start : part.end] = " " * (part.end - part.start)
        scripts: dict[str, set[str]] = {}
        strange: set[str] = set()
        for character in sorted(set(whole)):
            if character.isalpha():
                scripts.setdefault(_script(character), set()).add(character)
            elif unicodedata.category(character) in _SYMBOLS and not self._is_seen(character):
                strange.add(character)
        for letters in scripts.values():
            if 2 * sum(map(self._is_seen, letters)) < len(letters):
                strange |= letters
        return frozenset(strange)

    def _is_seen(self, character: str) -> bool:
        if character not in self._seen:
            self._seen[character] = self._in_vocabulary(character)
        return self._seen[character]


_SYMBOLS = {"So", "Sm", "Sc", "Sk", "No", "Nl", "Nd", "Cn"}


def _script(letter: str) -> str:
    """Return the script of a letter, which is the first word of its Unicode name."""
    return unicodedata.name(letter, "UNNAMED").split()[0]


def _runs(sentence: str, start: int, end: int, strange: frozenset[str]) -> Iterator[tuple[int, int]]:
    """Yield the runs of strange characters, with combining marks, and up to 3 spaces and punctuation marks between."""
    begin = last = -1
    for index in range(start, end):
        character = sentence[index]
        if character in strange:
            if begin < 0:
                begin = index
            last = index
        elif begin >= 0:
            category = unicodedata.category(character)
            if category.startswith("M") or character in "\u200c\u200d":
                last = index
            elif not category.startswith(("P", "Z")) or index - last > 3:
                yield begin, last + 1
                begin = -1
    if begin >= 0:
        yield begin, last + 1


def _masks(sentence: str) -> Iterator[str]:
    taken = set(_MASK.findall(sentence))
    return (mask for number in count() if (mask := f"{{{number}}}") not in taken)


def _kept(url: str) -> int:
    """Return the length of a URL without the sentence's punctuation after it."""
    end = len(url)
    surplus = {closing: url.count(closing) - url.count(opening) for closing, opening in _CLOSING.items()}
    while end > 1:
        last = url[end - 1]
        if surplus.get(last, 0) > 0:
            surplus[last] -= 1
        elif last not in _TRAILING:
            break
        end -= 1
    return end
