"""Lossless HTML tokenizer: splits into tags and text as browsers do, in linear time."""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

_NAME = re.compile(r"[^\s/>]+")
_GAP = re.compile(r"[\s/]*")
_ATTRIBUTE = re.compile(r"[^\s/>][^\s/>=]*")
_EQUALS = re.compile(r"\s*=\s*")
_BARE = re.compile(r"[^\s>]*")
_MOST_ATTRIBUTES = 500  # of one tag; the others are copied unread
_LONGEST_SCRIPT = 2_000  # characters of a PHP instruction
RAW = ("iframe", "noembed", "noframes", "script", "style", "textarea", "title", "xmp")
"""Elements whose content is raw text up to their own end tag."""


class Attribute(NamedTuple):
    """An attribute of a tag; its value is text[begin:end], without quotes."""

    name: str  # in lower case
    begin: int
    end: int
    quote: str  # empty if unquoted


class Token(NamedTuple):
    """A token, which covers text[begin:end]."""

    kind: Literal["text", "start", "end", "other"]  # other: comments, doctypes, processing instructions
    begin: int
    end: int
    name: str = ""  # of a tag, in lower case
    attributes: tuple[Attribute, ...] = ()


def read_tokens(text: str) -> Iterator[Token]:
    """Yield the tokens of a text in order. An unclosed tag makes the rest of the text an `other` token."""
    place, size = 0, len(text)
    while place < size:
        begin = text.find("<", place)
        while 0 <= begin < size - 1 and not (text[begin + 1].isalpha() or text[begin + 1] in "/!?"):
            begin = text.find("<", begin + 1)
        if begin < 0 or begin >= size - 1:
            yield Token("text", place, size)
            return
        if begin > place:
            yield Token("text", place, begin)
        token = _markup(text, begin)
        yield token
        place = token.end
        if token.kind == "start" and token.name in RAW:
            found = re.compile(rf"</{token.name}(?=[\s/>])", re.IGNORECASE).search(text, place)
            end = found.start() if found else size
            if end > place:
                yield Token("text", place, end)
            place = end


def _markup(text: str, begin: int) -> Token:
    following = text[begin + 1]
    if following.isalpha():
        return _tag(text, begin, begin + 1, "start")
    if following == "/" and text[begin + 2 : begin + 3].isalpha():
        return _tag(text, begin, begin + 2, "end")
    if text.startswith(("<?php", "<?="), begin):
        end = text.find("?>", begin, begin + _LONGEST_SCRIPT)
        if end >= 0:
            return Token("other", begin, end + 2)
    ending = "-->" if text.startswith("<!--", begin) else ">"
    # An unclosed comment takes the rest of the text, which keeps the search linear.
    end = text.find(ending, begin + 2)
    return Token("other", begin, len(text) if end < 0 else end + len(ending))


def _tag(text: str, begin: int, place: int, kind: Literal["start", "end"]) -> Token:
    size = len(text)
    named = _NAME.match(text, place)
    name = named[0].lower() if named else ""
    place += len(name) if named is None else len(named[0])
    attributes = dict[str, Attribute]()  # the first of each name counts, as in browsers
    while True:
        place = _end(_GAP.match(text, place), place)
        if place >= size:
            return Token("other", begin, size)
        if text[place] == ">":
            return Token(kind, begin, place + 1, name, tuple(attributes.values()))
        start = place
        place = _end(_ATTRIBUTE.match(text, place), place)
        attribute = text[start:place].lower()
        equals = _EQUALS.match(text, place)
        if equals is None:
            continue
        place = equals.end()
        quote = text[place : place + 1]
        if quote in ("'", '"'):
            start, end = place + 1, text.find(quote, place + 1)
            if end < 0:
                return Token("other", begin, size)
            place = end + 1
        else:
            quote, start, end = "", place, _end(_BARE.match(text, place), place)
            place = end
        if len(attributes) < _MOST_ATTRIBUTES:
            attributes.setdefault(attribute, Attribute(attribute, start, end, quote))


def _end(match: re.Match[str] | None, place: int) -> int:
    return place if match is None else match.end()
