"""Between a document's texts and the model: what is asked for a text, and how the answers become its translation."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from seqloom.documents.checks import harmed, hide
from seqloom.documents.cues import joined, wrapped
from seqloom.documents.messages import MessageError, parse_message
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


class Part(NamedTuple):
    """A text to translate; `asked` is how the model gets it, and `put_back` undoes the difference."""

    source: str
    asked: str
    put_back: Callable[[str], str]


class Request(NamedTuple):
    """What is asked for one text of a document, and the function that assembles the translations of the parts."""

    parts: Sequence[Part]
    assemble: Callable[[Sequence[str]], str]  # raises MessageError

    @property
    def texts(self) -> list[str]:
        """The texts that the model gets."""
        return [part.asked for part in self.parts]

    def answer(self, results: Sequence[Result]) -> Answer:
        """Return the translation, from the results of `texts` in order."""
        flags = tuple(flag for flag in Flag if any(flag in each.flags for each in results))
        confidence = min((each.confidence for each in results if each.confidence is not None), default=None)
        texts = [part.put_back(_tidy(part.asked, each.text)) for part, each in zip(self.parts, results, strict=True)]
        fault, whole = "", " ".join(texts)
        if not all(text.strip() for text in texts):
            fault = "empty translation"
        elif any(harmed(part.source, text) for part, text in zip(self.parts, texts, strict=True)):
            fault = "placeholders"
        else:
            try:
                whole = self.assemble(texts)
            except MessageError:
                fault = "message format"
        return Answer(whole, flags, confidence, fault)


def request_for(source: str, format: str) -> Request | None:
    """Return what to ask for a text; None if it is in a message format and cannot be read.

    In `.properties`, a text with `{0}` is a MessageFormat of Java, in which apostrophes are doubled.
    """
    if _CHOICES.search(source) or (format == "properties" and _NUMBERED.search(source)):
        try:
            message = parse_message(source)
        except MessageError:
            return None
        return Request([_part(text) for text in message.texts], message.written)
    if format == "subrip":
        text, lines = joined(source)
        return Request([_part(text)], lambda texts: wrapped(texts[0], lines))
    return Request([_part(source)], lambda texts: texts[0])


def _part(source: str) -> Part:
    return Part(source, *hide(source))


def _tidy(source: str, text: str) -> str:
    """The translation without characters that no document may have, between the white space of the source."""
    bare = source.strip()
    if not bare:
        return source
    begin = source[: len(source) - len(source.lstrip())]
    return begin + _UNWRITABLE.sub("", text).strip() + source[len(begin) + len(bare) :]
