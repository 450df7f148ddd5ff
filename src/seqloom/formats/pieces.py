"""The pieces that a file is read into. Their `raw` strings, joined, are the text of the file."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from seqloom.languages import Direction

Flag = Literal["draft", "fuzzy", "machine", "obsolete", "rejected", "unapproved", "untranslatable"]
"""Why a pair may be unfit for training. Pairs with a flag are dropped unless `corpora.NAME.accept` lists it.

draft: not translated yet, or unfinished. fuzzy: taken from a similar text, or marked for review. machine: machine
translation that no person confirmed. obsolete: the source text is no longer in the product. rejected: turned down by a
reviewer. unapproved: translated, but marked as not approved. untranslatable: marked as not to be translated.
"""


@dataclass(frozen=True, slots=True)
class Unit:
    """A text to translate, with its translation if the file has one.

    Units of a monolingual file have no targets: `put` writes the translation over the source.
    """

    raw: str  # the part of the file that `put` replaces; empty if `put` inserts
    key: str  # identifies the text within the file: an id, a path of keys or a line number
    source: str  # as displayed, with placeholders for inline elements
    target: str | None  # None if untranslated or if the file is monolingual
    line: int  # counted from 1
    put: Callable[[str], str]  # returns the text that replaces `raw`, escaped and quoted
    languages: tuple[str, str] = ("", "")  # of source and target as declared in the file; empty if undeclared
    group: str = ""  # the document or screen that the text belongs to
    flags: tuple[Flag, ...] = ()
    # Plural forms only: key of the text's form `other`, the fallback for languages without this form.
    other: str = ""
    tag_attributes: tuple["TagAttributes", ...] = ()


class TagAttributes(NamedTuple):
    """A tag inside a unit with translatable attributes, which precede it as units with an empty `raw`."""

    raw: str
    keys: tuple[str, ...]  # of the attributes' units
    put: Callable[[Mapping[str, str]], str]  # returns the tag with the translations of these keys


class Skip(NamedTuple):
    """Text that is not a unit, and why. Skipped texts are counted by reason."""

    raw: str
    reason: str  # a few words in lower case, always the same for one reason: "blank line"
    line: int
    text: str = ""  # what was skipped, as an example for reports


class Remark(NamedTuple):
    """A remark for the user about the file: its cells look quoted, its first row looks like a header."""

    line: int
    message: str  # what was found and which setting to change
    raw: str = ""


class ConditionalText(NamedTuple):
    """Text around units that changes when one of them is translated, such as the tags of a missing target."""

    raw: str
    changed: str  # replaces `raw` if any of the units is translated
    keys: tuple[str, ...]  # of the units


class Declaration(NamedTuple):
    """A statement of the file about itself that a translation makes wrong, such as the language of an HTML page."""

    raw: str
    changed: str  # replaces `raw` if any unit of the file is translated


Piece = str | Unit | Skip | Remark | ConditionalText | Declaration
"""A str is copied unchanged."""


class Options(NamedTuple):
    """A reader's options. Each field has the default of the setting with its name."""

    direction: Direction  # source and target; selects texts in multilingual files
    source_column: int = 0  # tables: counted from 0
    target_column: int = 1
    quoting: bool = False  # tables: cells may be quoted (RFC 4180)
    header: bool = False  # tables: the first row names the columns
    delimiter: str = "\t"
    # Set to translate a file by machine: the name that marks the translations. Readers then also yield units for
    # missing targets that can be added, and declarations; their `put` marks the translation as the format allows.
    engine: str = ""
    # Parquet: names of the columns; empty for the field of the language in the column `translation`.
    source_name: str = ""
    target_name: str = ""


def write(pieces: Iterable[Piece], translations: Mapping[str, str]) -> Iterator[str]:
    """Yield the text of a file with `translations`, which maps the keys of units to their targets.

    Units without an entry keep their raw text.
    """
    for piece in pieces:
        match piece:
            case str():
                yield piece
            case Unit(key=key):
                text = piece.put(translations[key]) if key in translations else piece.raw
                for tag in piece.tag_attributes:
                    if any(key in translations for key in tag.keys):
                        text = text.replace(tag.raw, tag.put(translations), 1)
                yield text
            case Declaration() if translations:
                yield piece.changed
            case ConditionalText() if any(key in translations for key in piece.keys):
                yield piece.changed
            case _:
                yield piece.raw
