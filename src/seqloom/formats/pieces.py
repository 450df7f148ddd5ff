"""What a file is read into. The `raw` of all pieces, joined, is the text of the file."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from seqloom.languages import Direction

Flag = Literal["draft", "fuzzy", "machine", "obsolete", "rejected", "unapproved", "untranslatable"]
"""Why a translation may not count. The setting `corpora.NAME.accept` lists the flags that still do.

draft: its state says that it is not translated yet, or only begun. fuzzy: a guess from a similar text, or marked for
review. machine: no person made or confirmed it. obsolete: its source is gone from the product. rejected: a reviewer
turned it down. unapproved: translated, but the file says that nobody approved it. untranslatable: the file says that
this text must not be translated.
"""


@dataclass(frozen=True, slots=True)
class Unit:
    """A text to be translated, with its translation if the file holds one.

    A file of one language has no targets: `put` writes the translation over the source.
    """

    raw: str  # the part of the file that `put` replaces; empty if a translation would be inserted
    key: str  # names the text within the file: its id, its path of keys, its line
    source: str  # as a person reads it; inline elements are placeholders
    target: str | None  # None if there is none, or the file has one language
    line: int  # where the text stands, from 1
    put: Callable[[str], str]  # `raw` with this translation, escaped and quoted as the format wants it
    languages: tuple[str, str] = ("", "")  # of source and target, as the file declares them; empty if it does not
    group: str = ""  # the document, screen or catalogue that the text belongs to
    flags: tuple[Flag, ...] = ()
    # Of a plural form: the key of the form `other` of the same text, which a language that lacks this form has for it.
    other: str = ""
    within: tuple["Within", ...] = ()


class Within(NamedTuple):
    """A tag within a unit whose attributes are texts: units of their own, which come before it with an empty `raw`."""

    raw: str
    keys: tuple[str, ...]  # of those units
    put: Callable[[Mapping[str, str]], str]  # the tag with translations, by their keys


class Skip(NamedTuple):
    """Text that is no unit, and why; it is counted by its reason."""

    raw: str
    reason: str  # a few words in lower case, the same for every such piece: "blank line", "symbolic id"
    line: int
    text: str = ""  # an example of what is left out


class Notice(NamedTuple):
    """Something that a person should hear of once for the file: it looks quoted, its first row looks like a header."""

    line: int
    message: str  # what was seen and which setting to change
    raw: str = ""


class Frame(NamedTuple):
    """Text around units that changes if one of them is translated, such as the tags of a target that is missing."""

    raw: str
    changed: str
    keys: tuple[str, ...]  # of those units


Piece = str | Unit | Skip | Notice | Frame
"""A str is copied as it is."""


class Options(NamedTuple):
    """What a reader is told beside the file. Every field has the default of the setting of that name."""

    direction: Direction  # the languages wanted; a file of several picks its texts by them
    source_column: int = 0  # of a table, counted from 0
    target_column: int = 1
    quoting: bool = False  # a table's cells may be quoted as spreadsheets do it
    header: bool = False  # a table's first row names its columns
    delimiter: str = "\t"


def write(pieces: Iterable[Piece], translations: Mapping[str, str]) -> Iterator[str]:
    """Yield the text of a file with translations put in: `translations` maps the keys of units to their targets.

    A unit without an entry keeps its raw text.
    """
    for piece in pieces:
        match piece:
            case str():
                yield piece
            case Unit(key=key):
                text = piece.put(translations[key]) if key in translations else piece.raw
                for tag in piece.within:
                    if any(key in translations for key in tag.keys):
                        text = text.replace(tag.raw, tag.put(translations), 1)
                yield text
            case Frame() if any(key in translations for key in piece.keys):
                yield piece.changed
            case _:
                yield piece.raw
