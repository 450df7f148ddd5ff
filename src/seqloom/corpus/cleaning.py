"""Cleaning: first both sides are tidied, then each rule may drop the pair. A rule is a named function of both sides.

Rules see texts as `seqloom.text.normalise` leaves them. They know nothing of other pairs; what repeats or leaks is the
affair of `splitting`.
"""

import html
import re
import unicodedata
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from seqloom.corpus.settings import CleanSettings
from seqloom.text import STANDARD_FORMS, Forms, normalise

_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[^\n]*$", re.MULTILINE)
_HEADING = re.compile(r"^[ \t]{0,3}#{1,6}[ \t]+", re.MULTILINE)
_LINK = re.compile(r"!?\[([^\[\]]*)\]\((?:[^()\s]|\([^()\s]*\))*(?:\s+\"[^\"]*\")?\s*\)")
_EMPHASIS = re.compile(r"(?<![\w*\\])(\*{1,3})(?=[^\s*])([^*]*[^\s*])\1(?![\w*])")
_TICKS = re.compile(r"`+")
_URL = re.compile(r"\b(?:https?|ftp|wss?|file)://|\bwww\.\w|\bmailto:", re.IGNORECASE)
_MESSAGE = re.compile(r"\{\s*[\w.]+\s*,\s*(?:plural|select|selectordinal|number|date|time)\b|\[%\w+:[^\]]*%\]|\$t\(")


class Rule(NamedTuple):
    """A reason to drop a pair: its name, as the metrics count it, and whether it holds for (source, target)."""

    name: str
    drops: Callable[[str, str], bool]


class Cleaned(NamedTuple):
    """A pair after cleaning; `dropped` is the rule that it fell to, or None if it is kept."""

    source: str
    target: str
    dropped: str | None


class Cleaner:
    """The cleaning that settings describe."""

    def __init__(self, settings: CleanSettings, forms: Forms = STANDARD_FORMS) -> None:
        self.rules = rules(settings, forms)
        self._settings = settings

    def clean(self, source: str, target: str) -> Cleaned:
        """Tidy both sides and say which rule drops the pair, if one does; the first that does is named."""
        source, target = tidy(source, self._settings), tidy(target, self._settings)
        dropped = next((rule.name for rule in self.rules if rule.drops(source, target)), None)
        return Cleaned(source, target, dropped)


def untouched(source: str, target: str) -> Cleaned:
    """Return a pair that no rule is asked about: normalised, and dropped only where a side has no text."""
    source, target = normalise(source), normalise(target)
    return Cleaned(source, target, "empty" if is_empty(source, target) else None)


def rules(settings: CleanSettings, forms: Forms = STANDARD_FORMS) -> list[Rule]:
    """Return the rules that are switched on, in the order in which they are asked: the cheap and telling ones first.

    `forms` says what counts as a placeholder.
    """
    table: list[tuple[str, Callable[[str, str], bool] | None]] = [
        ("empty", is_empty),
        ("copy", is_copy if settings.drop_copies else None),
        ("url", has_url if settings.drop_urls else None),
        ("message", has_message if settings.drop_messages else None),
        ("placeholders", partial(placeholders_differ, forms) if settings.same_placeholders else None),
        ("min_words", _bound(has_fewer_words, settings.min_words)),
        ("max_words", _bound(has_more_words, settings.max_words)),
        ("max_characters", _bound(is_longer, settings.max_characters)),
        ("letters", _bound(partial(has_few_letters, forms), settings.min_letter_share)),
        ("length_ratio", _bound(lengths_differ, settings.max_length_ratio)),
    ]
    return [Rule(name, drops) for name, drops in table if drops is not None]


def _bound(drops: Callable[[Any, str, str], bool], limit: float | None) -> Callable[[str, str], bool] | None:
    return None if limit is None else partial(drops, limit)


def tidy(text: str, settings: CleanSettings) -> str:
    """Return one side unescaped, without mark-up (as switched on) and normalised."""
    if settings.unescape_html and "&" in text:
        text = html.unescape(text)
    if settings.strip_markup:
        text = strip_markup(text)
    return normalise(text)


def strip_markup(text: str) -> str:
    """Return the text that Markdown shows: links as their text, no emphasis, headings, back-ticks or code fences.

    Tags stay: they are placeholders, which a translation keeps. So do underscores, which are part of names.
    """
    if "`" in text:
        text = _TICKS.sub("", _FENCE.sub("", text))
    if "#" in text:
        text = _HEADING.sub("", text)
    if "](" in text:
        text = _LINK.sub(r"\1", text)
    if "*" in text:
        text = _EMPHASIS.sub(r"\2", text)
    return text


def is_empty(source: str, target: str) -> bool:
    """Tell whether a side has no text."""
    return not source or not target


def is_copy(source: str, target: str) -> bool:
    """Tell whether the sides are equal: a name, or what nobody translated."""
    return source == target


def has_url(source: str, target: str) -> bool:
    """Tell whether a side holds a web address."""
    return bool(_URL.search(source) or _URL.search(target))


def has_message(source: str, target: str) -> bool:
    """Tell whether a side holds an ICU message (`{n, plural, ...}`) or a reference to another text (`[%key:...%]`)."""
    return bool(_MESSAGE.search(source) or _MESSAGE.search(target))


def placeholders_differ(forms: Forms, source: str, target: str) -> bool:
    """Tell whether the sides hold other placeholders, counted with repeats, in whatever order."""
    return sorted(forms.find(source)) != sorted(forms.find(target))


def has_fewer_words(least: int, source: str, target: str) -> bool:
    """Tell whether both sides have fewer words: "absolute humidity" may be one word in the other language."""
    return _words(source) < least and _words(target) < least


def has_more_words(most: int, source: str, target: str) -> bool:
    """Tell whether a side has more words."""
    return _words(source) > most or _words(target) > most


def is_longer(most: int, source: str, target: str) -> bool:
    """Tell whether a side has more characters."""
    return len(source) > most or len(target) > most


def has_few_letters(forms: Forms, least: float, source: str, target: str) -> bool:
    """Tell whether a side has a smaller share of letters in what is neither white space nor placeholder."""
    return _letter_share(forms, source) < least or _letter_share(forms, target) < least


def lengths_differ(most: float, source: str, target: str) -> bool:
    """Tell whether one side is more than `most` times as long as the other, in characters."""
    return max(len(source), len(target)) > most * min(len(source), len(target))


def _words(text: str) -> int:
    return text.count(" ") + 1


def _letter_share(forms: Forms, text: str) -> float:
    """Letters and the marks on them among the visible characters outside of placeholders; 0 where there are none."""
    visible = forms.regex.sub("", text).replace(" ", "")
    if not visible:
        return 0.0
    letters = sum(map(str.isalpha, visible))
    if not visible.isascii():
        letters += sum(unicodedata.category(character)[0] == "M" for character in visible)
    return letters / len(visible)
