"""XML files that someone else wrote, as a stream of what is in them: one of a gigabyte needs no memory.

A document that declares entities is refused: they are how a small file becomes a large one. Nothing outside of the file
is ever read; plain or gzip.
"""

import gzip
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from xml.parsers import expat

from seqloom.corpus.lines import plain
from seqloom.corpus.members import Members
from seqloom.errors import FormatError

_BLOCK = 1 << 16


class Start(NamedTuple):
    """An element begins, on this line; its name is without the prefix of a name space."""

    name: str
    attributes: Mapping[str, str]
    line: int


class End(NamedTuple):
    """An element ends."""

    name: str


Event = Start | End | str
"""What a file is a sequence of; a str is text."""


def read_events(members: Members, name: str) -> Iterator[Event]:
    """Yield what is in a file, in its order.

    Raises:
        FormatError: it is no XML, or declares entities, or its gzip is broken; the line is named.
    """
    where = f"{members.place}: {name}"
    found: list[Event] = []
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = lambda tag, attributes: found.append(
        Start(_local(tag), attributes, parser.CurrentLineNumber)
    )
    parser.EndElementHandler = lambda tag: found.append(End(_local(tag)))
    parser.CharacterDataHandler = found.append

    def refuse(entity: str, *_: object) -> None:
        raise FormatError(
            f"{where}: line {parser.CurrentLineNumber}: declares the entity {entity!r}, which is not read: write out "
            "what it stands for"
        )

    parser.EntityDeclHandler = refuse
    with members.open(name) as stream, plain(stream) as content:
        try:
            while block := content.read(_BLOCK):
                parser.Parse(block)
                yield from found
                found.clear()
            parser.Parse(b"", True)
        except expat.ExpatError as error:
            said = expat.ErrorString(error.code)
            raise FormatError(f"{where}: line {error.lineno}: not well-formed XML: {said}") from error
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            line = parser.CurrentLineNumber
            raise FormatError(f"{where}: line {line}: the gzip is truncated or corrupt: {error}") from error
        yield from found


def chosen(members: Members, pattern: str | None, language: str) -> list[tuple[str, str]]:
    """Return the files that a pattern picks, or the only one, with their groups. Raises `FormatError`."""
    if pattern is None:
        return [(members.only(), "")]
    found = [(side.name, side.group) for side in members.sides(pattern, language).values()]
    if not found:
        raise FormatError(f"{members.place}: no file matches {pattern!r}; there are {', '.join(members.names[:5])}")
    return found


def is_language(given: str, wanted: str) -> bool:
    """Tell whether a file's language is the wanted one: `en-US` is `en`, but `en` is not `en-US`."""
    given, wanted = (each.replace("_", "-").lower() for each in (given, wanted))
    return given == wanted or given.startswith(f"{wanted}-")


def _local(tag: str) -> str:
    return tag.rpartition(":")[2]
