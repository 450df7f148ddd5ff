"""What `.po` and `.mo` catalogues share: headers, message keys, plural forms, symbolic ids."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from seqloom.formats.language_tags import matches
from seqloom.formats.pieces import Options, Remark
from seqloom.formats.plurals import GERMANIC, plurals_of

_ID = re.compile(r"[A-Za-z][A-Za-z0-9]*+(?:[._:/-]++[A-Za-z0-9]++)+")  # menu.file.open, SAVE_BUTTON, a:b-c
_WORD = re.compile(r"[A-Za-z0-9._:/-]++")
_MOST_IDS = 0.5  # share of a catalogue's keys
_LANGUAGE = re.compile(r"^Language:[ \t]*([A-Za-z]{2,3}(?:[-_@.][A-Za-z0-9]+)*)[ \t]*$", re.MULTILINE)


class Message(NamedTuple):
    """An entry of a catalogue. `forms` maps the number of each plural form to its translation."""

    context: str | None
    msgid: str
    msgid_plural: str | None
    forms: dict[int, str]

    def key(self, form: int) -> str:
        """Return a translation's key in gettext's notation: EOT after the context, NUL before the plural form."""
        context = "" if self.context is None else f"{self.context}\x04"
        return f"{context}{self.msgid}" if self.msgid_plural is None else f"{context}{self.msgid}\0{form}"


class CatalogueSummary(NamedTuple):
    """Facts about a whole catalogue that are needed to read its messages."""

    header: str
    symbolic: bool  # most keys are ids, not source texts
    messages: int  # not counting the header

    def source(self, message: Message, form: int) -> str:
        """Return the source text that a plural form of the message translates."""
        if message.msgid_plural is None:
            return message.msgid
        plurals = plurals_of(self.header)
        if plurals is None:
            plurals = GERMANIC
        return plurals.source(form, message.msgid, message.msgid_plural, message.forms.get(form, ""))

    def is_id(self, message: Message) -> bool:
        """Return whether the message's key is an id rather than a source text."""
        return self.symbolic and _WORD.fullmatch(message.msgid) is not None

    def remarks(self, options: Options, forms: int) -> Iterator[Remark]:
        """Yield remarks for the user; `forms` is the largest number of plural forms of any message."""
        if not self.messages:
            yield Remark(1, "has a header but no messages" if self.header else "has no messages")
        language = _LANGUAGE.search(self.header)
        if language and not matches(language[1], options.direction.target):
            yield Remark(1, f"the header declares Language: {language[1]}; it is read as {options.direction.target}")
        plurals = plurals_of(self.header)
        if plurals is not None and forms > plurals.forms:
            yield Remark(1, f"the header declares {plurals.forms} plural forms, but messages have {forms}")
        elif plurals is None and forms:
            yield Remark(1, "the header has no valid Plural-Forms: form 0 is read as singular, all others as plural")


def summarise(messages: Iterable[Message]) -> tuple[CatalogueSummary, int]:
    """Scan all messages; return facts about the catalogue and the largest number of plural forms of a message."""
    header, ids, count, forms = "", 0, 0, 0
    for message in messages:
        if not message.msgid and message.context is None:
            header = header or message.forms.get(0, "")
            continue
        count += 1
        ids += _ID.fullmatch(message.msgid) is not None
        if message.msgid_plural is not None:
            forms = max(forms, len(message.forms))
    return CatalogueSummary(header, ids > _MOST_IDS * count, count), forms
