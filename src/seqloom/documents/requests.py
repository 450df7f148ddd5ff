"""Between a document's texts and the model: what is asked for a text, and how the answers become its translation."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from seqloom.documents.checks import harmed, hide
from seqloom.documents.cues import joined, wrapped
from seqloom.documents.messages import Message, MessageError, parse_message
from seqloom.translation.results import Flag, Result

_CHOICES = re.compile(r"\{\s*\w+\s*,\s*(?:plural|select|selectordinal|choice)\s*,")
_NUMBERED = re.compile(r"\{\s*[0-9]+\s*[,}]")
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")


class Answer(NamedTuple):
    """The translation of a text. With a `fault` it must not be used."""

    text: str
    flags: tuple[Flag, ...]
    confidence: float | None  # the lowest of its parts; None if all was copied
    fault: str = ""  # a few words, always the same for one reason


class Request(NamedTuple):
    """The texts to translate for one text of a document, and the function that assembles their translations."""

    texts: Sequence[str]
    assemble: Callable[[Sequence[str]], str]  # raises MessageError

    def answer(self, results: Sequence[Result]) -> Answer:
        """Return the translation, from the results of `texts` in order."""
        flags = tuple(flag for flag in Flag if any(flag in each.flags for each in results))
        sure = [each.confidence for each in results if each.confidence is not None]
        confidence = min(sure, default=None)
        texts = [_tidy(source, each.text) for source, each in zip(self.texts, results, strict=True)]
        whole = " ".join(texts)
        if not all(text.strip() for text in texts):
            return Answer(whole, flags, confidence, "empty translation")
        if any(map(harmed, self.texts, texts)):
            return Answer(whole, flags, confidence, "placeholders")
        try:
            return Answer(self.assemble(texts), flags, confidence)
        except MessageError:
            return Answer(whole, flags, confidence, "message format")


def request_for(source: str, format: str) -> Request | None:
    """Return what to translate for a text; None if it is a message format that cannot be read.

    In `.properties`, a text with `{0}` is a MessageFormat of Java, in which apostrophes are doubled.
    """
    if _CHOICES.search(source) or (format == "properties" and _NUMBERED.search(source)):
        try:
            return _message(parse_message(source))
        except MessageError:
            return None
    if format == "subrip":
        text, lines = joined(source)
        request = _plain(text)
        return request._replace(assemble=lambda texts: wrapped(request.assemble(texts), lines))
    return _plain(source)


def _plain(source: str) -> Request:
    text, put_back = hide(source)
    return Request([text], lambda texts: put_back(texts[0]))


def _message(message: Message) -> Request:
    parts = [hide(text) for text in message.texts]

    def assemble(texts: Sequence[str]) -> str:
        return message.written([put_back(text) for (_, put_back), text in zip(parts, texts, strict=True)])

    return Request([text for text, _ in parts], assemble)


def _tidy(source: str, text: str) -> str:
    """The translation without characters that no document may have, between the white space of the source."""
    bare = source.strip()
    if not bare:
        return source
    begin = source[: len(source) - len(source.lstrip())]
    return begin + _UNWRITABLE.sub("", text).strip() + source[len(begin) + len(bare) :]
