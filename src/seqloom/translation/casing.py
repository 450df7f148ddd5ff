"""ALL CAPITALS and Title Case, which a model that saw ordinary text reads badly: 2 BLEU in place of 29.

Such a sentence is written in ordinary case, translated, and the translation of ALL CAPITALS is written in capitals. The
vocabulary knows how a word is usually written: of `wi-fi`, `Wi-fi` and `WI-FI` the form of fewest pieces is taken.

The translation of Title Case keeps the case that the model gives it, unless the target is English: no other language
writes headings that way, and a German sentence of capitalised words is a mistake.
"""

import re
from collections.abc import Callable, Iterator
from enum import Enum

from seqloom.text import STANDARD_FORMS, Forms

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_TITLE_WORDS = 2  # at least; a single capitalised word is how a sentence or a label begins
_TITLE_TARGETS = ("en",)
_NOT_TITLE_SOURCES = ("de", "lb")  # nouns have capitals there: `Neuer Benutzer` is ordinary case
_DOTTED = ("tr", "az")  # i and ı are two letters


class Case(Enum):
    """How a sentence is written."""

    ORDINARY = "ordinary"
    CAPITALS = "capitals"
    TITLE = "title"


class CaseRules:
    """Writes sentences of a source language in ordinary case and translations in the case of their source.

    `pieces` counts the pieces of a word in the source vocabulary; placeholders of `forms` stay as they are. Languages
    are codes without region or script; an empty one is unknown.
    """

    def __init__(self, pieces: Callable[[str], int], source: str, target: str, forms: Forms = STANDARD_FORMS) -> None:
        self._pieces, self._forms = pieces, forms
        self._source, self._target = source, target
        self._usual: dict[str, str] = {}

    def ordinary(self, sentence: str) -> tuple[str, Case]:
        """Return the sentence in ordinary case, placeholders untouched, and the case that it had."""
        words = [
            match[0] for part, fixed in _parts(sentence, self._forms) if not fixed for match in _WORD.finditer(part)
        ]
        case = self._case(words)
        if case is Case.ORDINARY:
            return sentence, case
        parts = [part if fixed else self._rewrite(part, case) for part, fixed in _parts(sentence, self._forms)]
        rewritten = _first_capital("".join(parts), self._forms)
        if case is Case.CAPITALS and len(words) == 1 and self._pieces(rewritten) > self._pieces(sentence):
            return sentence, Case.ORDINARY  # a name such as MQTT
        return (rewritten, case) if rewritten != sentence else (sentence, Case.ORDINARY)

    def recase(self, translation: str, case: Case) -> str:
        """Write a translation in the case of its source, placeholders untouched."""
        if case is Case.CAPITALS:
            return "".join(
                part if fixed else _upper(part, self._target) for part, fixed in _parts(translation, self._forms)
            )
        if case is Case.TITLE and self._target in _TITLE_TARGETS:
            return "".join(
                part if fixed else _WORD.sub(_capital, part) for part, fixed in _parts(translation, self._forms)
            )
        return translation

    def _case(self, words: list[str]) -> Case:
        cased = [word for word in words if word.upper() != word.lower()]
        if not cased:
            return Case.ORDINARY
        if all(word == _upper(word, self._source) for word in cased):
            return Case.CAPITALS if sum(map(len, cased)) > 1 else Case.ORDINARY
        if self._source not in _NOT_TITLE_SOURCES and len(cased) >= _TITLE_WORDS:
            return Case.TITLE if all(word[0].isupper() for word in cased) else Case.ORDINARY
        return Case.ORDINARY

    def _rewrite(self, part: str, case: Case) -> str:
        def usual(match: re.Match[str]) -> str:
            word = match[0]
            if case is Case.TITLE and word[1:] != word[1:].lower():
                return word  # a name in Title Case has a form of its own: API, iPhone, McDonald
            return self._usual_form(word)

        return _WORD.sub(usual, part)

    def _usual_form(self, word: str) -> str:
        lower = _lower(word, self._source)
        if lower not in self._usual:
            forms = [lower, lower[0].upper() + lower[1:], _upper(lower, self._source)]
            if self._source == "en" and (lower == "i" or lower[:2] in ("i'", "i’")):
                forms = [forms[1]]
            self._usual[lower] = min(forms, key=self._pieces)  # the first one of equals
        return self._usual[lower]


def _upper(text: str, language: str) -> str:
    return (text.replace("i", "İ") if language in _DOTTED else text).upper()


def _lower(text: str, language: str) -> str:
    return (text.replace("I", "ı").replace("İ", "i") if language in _DOTTED else text).lower()


def _parts(text: str, forms: Forms) -> Iterator[tuple[str, bool]]:
    """The text and its placeholders by turns, each with whether it is a placeholder."""
    position = 0
    for match in forms.regex.finditer(text):
        yield text[position : match.start()], False
        yield match[0], True
        position = match.end()
    yield text[position:], False


def _capital(match: re.Match[str]) -> str:
    return match[0][0].upper() + match[0][1:]


def _first_capital(sentence: str, forms: Forms) -> str:
    position = 0
    for part, fixed in _parts(sentence, forms):
        if not fixed and (word := _WORD.search(part)):
            first = position + word.start()
            return sentence[:first] + sentence[first].upper() + sentence[first + 1 :]
        position += len(part)
    return sentence
