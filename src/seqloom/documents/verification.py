"""Whether a document with translations reads as intended."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from itertools import zip_longest

from seqloom.formats.pieces import Piece, Skip, Unit

_NUMBERED = re.compile(r"(</?[gx])[0-9]+(/?>)")


def faulty(
    before: Iterable[Piece], after: Iterable[Piece], translations: Mapping[str, str], bilingual: bool
) -> list[Unit]:
    """Return the units, as before, whose translation must be left out because it does not read back.

    Both documents must have the same units in the same order. Translated ones must have their translation, except for
    white space and invisible characters, which a format may not be able to keep; all others must be as before. If the
    units differ, the last one translated up to there is returned.
    """
    found: list[Unit] = []
    last: Unit | None = None
    for old, new in zip_longest(_texts(before), _texts(after)):
        chosen = isinstance(old, Unit) and old.key in translations
        if isinstance(old, Unit) and chosen:
            last = old
        if _place(old) != _place(new):
            return [last] if last is not None else found
        if not isinstance(old, Unit) or not isinstance(new, Unit):
            continue
        wanted = translations[old.key] if chosen else (old.target if bilingual else old.source)
        text = new.target if bilingual else new.source
        if bilingual and old.source != new.source:
            return [last] if last is not None else found
        if chosen and not _same(text or "", wanted or "", bilingual):
            found.append(old)
        elif not chosen and text != wanted:
            return [last] if last is not None else found
    return list({unit.key: unit for unit in found}.values())


def _same(text: str, wanted: str, bilingual: bool) -> bool:
    if not bilingual:  # inline codes are numbered in the order of the text, so a translation may have others
        text, wanted = (_NUMBERED.sub(r"\1\2", each) for each in (text, wanted))
    return visible(text) == visible(wanted)


def visible(text: str) -> str:
    """Return the text without white space, control and format characters, in NFC."""
    text = unicodedata.normalize("NFC", text)
    return "".join(each for each in text if not each.isspace() and unicodedata.category(each) not in ("Cc", "Cf", "Cs"))


def _texts(pieces: Iterable[Piece]) -> Iterable[Unit | Skip]:
    return (piece for piece in pieces if isinstance(piece, Unit | Skip))


def _place(piece: Unit | Skip | None) -> tuple[str, str]:
    match piece:
        case Unit(key=key):
            return "unit", key
        case Skip(reason=reason):
            return "skip", reason
        case None:
            return "end", ""
