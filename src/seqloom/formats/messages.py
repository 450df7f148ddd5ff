"""What `.po` and `.mo` catalogues have in common: headers, keys, plural forms, ids in place of texts."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from seqloom.formats.language_tags import matches
from seqloom.formats.pieces import Notice, Options
from seqloom.formats.plurals import GERMANIC, plurals_of

_ID = re.compile(r"[A-Za-z][A-Za-z0-9]*+(?:[._:/-]++[A-Za-z0-9]++)+")  # menu.file.open, SAVE_BUTTON, a:b-c
_WORD = re.compile(r"[A-Za-z0-9._:/-]++")
_MOST_IDS = 0.5  # of the keys of a catalogue
_LANGUAGE = re.compile(r"^Language:[ \t]*([A-Za-z]{2,3}(?:[-_@.][A-Za-z0-9]+)*)[ \t]*$", re.MULTILINE)


class Message(NamedTuple):
    """An entry of a catalogue. `forms` are its translations by the number of the plural form."""

    context: str | None
    one: str  # msgid
    many: str | None  # msgid_plural
    forms: dict[int, str]

    def key(self, form: int) -> str:
        """Name a translation as gettext does: EOT behind the context, NUL before the number of a plural form."""
        context = "" if self.context is None else f"{self.context}\x04"
        return f"{context}{self.one}" if self.many is None else f"{context}{self.one}\0{form}"


class Catalogue(NamedTuple):
    """What is to be known of a catalogue before its first message is read."""

    header: str
    symbolic: bool  # its keys are ids, not texts
    messages: int  # without the header

    def source(self, message: Message, form: int) -> str:
        """Return the source text that a form of a message translates."""
        if message.many is None:
            return message.one
        plurals = plurals_of(self.header)
        if plurals is None:
            plurals = GERMANIC
        return plurals.source(form, message.one, message.many, message.forms.get(form, ""))

    def is_id(self, message: Message) -> bool:
        """Return whether the key of a message is an id and no text."""
        return self.symbolic and _WORD.fullmatch(message.one) is not None

    def notices(self, options: Options, forms: int) -> Iterator[Notice]:
        """Yield what a person should hear of; `forms` is the most plural forms that a message has."""
        if not self.messages:
            yield Notice(1, "holds a header and no messages" if self.header else "holds no messages")
        language = _LANGUAGE.search(self.header)
        if language and not matches(language[1], options.direction.target):
            yield Notice(1, f"its header says Language: {language[1]}; it is read as {options.direction.target}")
        plurals = plurals_of(self.header)
        if plurals is not None and forms > plurals.forms:
            yield Notice(1, f"its header declares {plurals.forms} plural forms, but messages have {forms}")
        elif plurals is None and forms:
            yield Notice(1, "its header has no valid Plural-Forms: form 0 is taken for one, the others for many")


def survey(messages: Iterable[Message]) -> tuple[Catalogue, int]:
    """Look at all messages once: return what they are, and the most plural forms that one has."""
    header, ids, count, forms = "", 0, 0, 0
    for message in messages:
        if not message.one and message.context is None:
            header = header or message.forms.get(0, "")
            continue
        count += 1
        ids += _ID.fullmatch(message.one) is not None
        if message.many is not None:
            forms = max(forms, len(message.forms))
    return Catalogue(header, ids > _MOST_IDS * count, count), forms
