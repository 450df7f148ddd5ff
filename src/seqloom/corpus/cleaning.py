"""Cleaning: normalise both texts of a pair, then apply rules that may drop the pair.

A rule is a named function of both texts after `seqloom.text.normalise`. It sees one pair at a time; `splitting` handles
duplicates and leakage.
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


_HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KANA = r"\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_IDEOGRAPH = re.compile(f"[{_HAN}]")
_SYLLABLE = re.compile(rf"[{_KANA}\uac00-\ud7a3]")  # kana, Hangul
_UNSPACED_WORD = re.compile(f"[{_HAN}{_KANA}]")
_UNSPACED_LETTER = re.compile(r"[\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff]")  # Thai, Lao, Burmese, Khmer
_UNSPACED = re.compile(f"{_UNSPACED_WORD.pattern}|{_UNSPACED_LETTER.pattern}")


class Rule(NamedTuple):
    """A reason to drop a pair: its name in the metrics, and a function that returns True for pairs to drop."""

    name: str
    drops: Callable[[str, str], bool]


class Cleaned(NamedTuple):
    """A pair after cleaning; `dropped` is the name of the rule that dropped it, or None."""

    source: str
    target: str
    dropped: str | None


class Cleaner:
    """Applies the configured cleaning."""

    def __init__(self, settings: CleanSettings, forms: Forms = STANDARD_FORMS) -> None:
        self.rules = rules(settings, forms)
        self._settings = settings

    def clean(self, source: str, target: str) -> Cleaned:
        """Normalise both texts and apply the rules; `dropped` is the first rule that matches."""
        source, target = tidy(source, self._settings), tidy(target, self._settings)
        dropped = next((rule.name for rule in self.rules if rule.drops(source, target)), None)
        return Cleaned(source, target, dropped)


def untouched(source: str, target: str) -> Cleaned:
    """Return the pair normalised but unfiltered; it is dropped only if a text is empty."""
    source, target = normalise(source), normalise(target)
    return Cleaned(source, target, "empty" if is_empty(source, target) else None)


def rules(settings: CleanSettings, forms: Forms = STANDARD_FORMS) -> list[Rule]:
    """Return the enabled rules in the order of application: cheap and most effective ones first.

    `forms` defines the placeholders.
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
    """Return a text normalised and, depending on the settings, unescaped and without markup."""
    if settings.unescape_html and "&" in text:
        text = html.unescape(text)
    if settings.strip_markup:
        text = strip_markup(text)
    return normalise(text)


def strip_markup(text: str) -> str:
    """Return the text that Markdown displays: no link targets, emphasis, headings, backticks or code fences.

    Tags stay, because they are placeholders that a translation keeps, and so do underscores, which occur in names.
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
    """Return whether a text is empty."""
    return not source or not target


def is_copy(source: str, target: str) -> bool:
    """Return whether the texts are equal: a name, or an untranslated text."""
    return source == target


def has_url(source: str, target: str) -> bool:
    """Return whether a text contains a web address."""
    return _has_url(source) or _has_url(target)


def has_message(source: str, target: str) -> bool:
    """Return whether a text contains an ICU message (`{n, plural, ...}`) or a reference (`[%key:...%]`)."""
    return bool(_MESSAGE.search(source) or _MESSAGE.search(target))


def placeholders_differ(forms: Forms, source: str, target: str) -> bool:
    """Return whether the texts differ in their placeholders, counting repetitions but not order."""
    return sorted(forms.find(source)) != sorted(forms.find(target))


def has_fewer_words(least: int, source: str, target: str) -> bool:
    """Return whether both texts have fewer words: a two-word term may be a single word in the other language."""
    return words(source) < least and words(target) < least


def has_more_words(most: int, source: str, target: str) -> bool:
    """Return whether a text has more words."""
    return words(source) > most or words(target) > most


def is_longer(most: int, source: str, target: str) -> bool:
    """Return whether a text has more characters."""
    return len(source) > most or len(target) > most


def has_few_letters(forms: Forms, least: float, source: str, target: str) -> bool:
    """Return whether a text has a smaller share of letters, ignoring white space and placeholders."""
    return _has_few(forms, least, source) or _has_few(forms, least, target)


def lengths_differ(most: float, source: str, target: str) -> bool:
    """Return whether one text is more than `most` times as long as the other, measured by `length`."""
    lengths = length(source), length(target)
    return max(lengths) > most * min(lengths)


def words(text: str) -> int:
    """Return the number of words in a normalised text.

    White space separates words. In scripts without spaces, an ideograph or kana counts as a word, and so do every four
    letters of Thai, Lao, Khmer or Burmese.
    """
    if text.isascii() or not _UNSPACED.search(text):
        return text.count(" ") + 1
    ideographs, letters = len(_UNSPACED_WORD.findall(text)), len(_UNSPACED_LETTER.findall(text))
    return ideographs + -(-letters // 4) + len(_UNSPACED.sub(" ", text).split())


def length(text: str) -> int:
    """Return the length of a text, scaled to Latin letters.

    An ideograph counts as three letters, a kana or Hangul syllable as two: 1,000 English words of 5.7 characters, with
    spaces, correspond to about 1,700 Chinese ideographs.
    """
    if text.isascii():
        return len(text)
    return len(text) + 2 * len(_IDEOGRAPH.findall(text)) + len(_SYLLABLE.findall(text))


def _has_url(text: str) -> bool:
    # Every match contains one of these. Few texts do, and the regular expression is much slower.
    return (":" in text or "w." in text or "W." in text) and _URL.search(text) is not None


def _has_few(forms: Forms, least: float, text: str) -> bool:
    """Whether letters and combining marks are a smaller share of the visible characters outside placeholders.

    The share is 0 if there are none. Marks are counted only if the letters are too few without them.
    """
    visible = forms.regex.sub("", text).replace(" ", "")
    if not visible:
        return least > 0
    letters = sum(map(str.isalpha, visible))
    if letters / len(visible) < least and not visible.isascii():
        letters += sum(unicodedata.category(character)[0] == "M" for character in visible)
    return letters / len(visible) < least
