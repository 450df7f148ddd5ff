"""Translate ALL CAPITALS and Title Case through ordinary case.

Models trained on ordinary text translate such sentences badly (2 BLEU instead of 29), so the sentence is rewritten in
ordinary case first. Of `wi-fi`, `Wi-fi` and `WI-FI`, the form that the vocabulary splits into the fewest pieces is
taken as the usual one. The translation of a sentence in ALL CAPITALS is put back in capitals.

The translation of Title Case is put in Title Case only if the target is English. Other languages do not write headings
that way: a German sentence with every word capitalised is wrong.
"""

import re
from collections.abc import Callable, Iterator
from enum import Enum

from seqloom.text import STANDARD_FORMS, Forms

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_TITLE_WORDS = 2  # minimum; a single capitalised word is an ordinary label
_TITLE_TARGETS = ("en",)
_NOT_TITLE_SOURCES = ("de", "lb")  # nouns are capitalised: `Neuer Benutzer` is ordinary case
_DOTTED = ("tr", "az")  # i and ı are different letters


class Case(Enum):
    """The case of a sentence."""

    ORDINARY = "ordinary"
    CAPITALS = "capitals"
    TITLE = "title"


class CaseRules:
    """Rewrites source sentences in ordinary case, and translations in the case of their source.

    `pieces` returns how many pieces the source vocabulary splits a word into; placeholders of `forms` are never
    changed. Languages are codes without region or script; an empty string means unknown.
    """

    def __init__(self, pieces: Callable[[str], int], source: str, target: str, forms: Forms = STANDARD_FORMS) -> None:
        self._pieces, self._forms = pieces, forms
        self._source, self._target = source, target
        self._usual: dict[str, str] = {}

    def ordinary(self, sentence: str) -> tuple[str, Case]:
        """Return the sentence in ordinary case, with placeholders unchanged, and its original case."""
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
        """Return a translation in the case of its source, with placeholders unchanged."""
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
                return word  # capitals inside a word are its own spelling: API, iPhone, McDonald
            return self._usual_form(word)

        return _WORD.sub(usual, part)

    def _usual_form(self, word: str) -> str:
        lower = _lower(word, self._source)
        if lower not in self._usual:
            forms = [lower, lower[0].upper() + lower[1:], _upper(lower, self._source)]
            if self._source == "en" and (lower == "i" or lower[:2] in ("i'", "i’")):
                forms = [forms[1]]
            self._usual[lower] = min(forms, key=self._pieces)  # the first one if there is a tie
        return self._usual[lower]


def _upper(text: str, language: str) -> str:
    return (text.replace("i", "İ") if language in _DOTTED else text).upper()


def _lower(text: str, language: str) -> str:
    return (text.replace("I", "ı").replace("İ", "i") if language in _DOTTED else text).lower()


def _parts(text: str, forms: Forms) -> Iterator[tuple[str, bool]]:
    """Yield the parts of a text, each with whether it is a placeholder."""
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
