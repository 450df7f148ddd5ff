"""Reads the files of a corpus into raw pairs: matches files of two languages, and selects the texts that count.

Nothing is dropped silently: a text that does not become a pair is yielded as `LeftOut` with the reason.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import zip_longest
from typing import NamedTuple

from seqloom.corpus.members import Members, Side
from seqloom.corpus.settings import Source
from seqloom.errors import FormatError
from seqloom.formats.catalogue import FORMATS, Format
from seqloom.formats.encoding import TextFile
from seqloom.formats.language_tags import matches
from seqloom.formats.pieces import Notice, Options, Piece, Skip, Unit
from seqloom.languages import Direction

OTHER_LANGUAGES = "other languages"


class RawPair(NamedTuple):
    """A text and its translation as they are in the file.

    `group` is the catalogue that the pair comes from; splitting keeps a group together. It is empty for formats without
    groups (tsv, moses), whose pairs stay together with those of the same source text.
    """

    source: str
    target: str
    group: str


class LeftOut(NamedTuple):
    """A text that does not become a pair, and why."""

    reason: str
    place: str  # file and line
    text: str


class Remark(NamedTuple):
    """A remark for the user about a file, naming the file, the line and the setting to change."""

    message: str


Found = RawPair | LeftOut | Remark


def read_corpus(members: Members, source: Source, direction: Direction, *, alone: bool = True) -> Iterator[Found]:
    """Yield a corpus's pairs in one direction, in file order, together with texts left out and remarks.

    `alone` states that the corpus is read in no other direction; only then may an XLIFF file omit its target language.

    Raises:
        FormatError: a file is broken, a file's counterpart is missing, or no text exists in both languages.
    """
    chosen = FORMATS[source.format]
    reader = _Reader(members, source, direction, chosen, alone)
    found = False
    for each in reader.bilingual() if chosen.bilingual else reader.monolingual():
        found |= not isinstance(each, Remark)
        yield each
    if reader.pairs == 0 and reader.languages:
        seen = ", ".join(reader.languages)
        raise FormatError(f"{members.place}: has no translations from {' to '.join(direction)}; found {seen}")
    if not found:
        yield Remark(f"{members.place}: the files contain no texts")


class _Reader:
    """State while reading a corpus."""

    def __init__(self, members: Members, source: Source, direction: Direction, chosen: Format, alone: bool) -> None:
        self.pairs = 0
        self.languages: dict[str, None] = {}  # language pairs of the texts left out for their languages
        self._members, self._source, self._direction, self._format = members, source, direction, chosen
        self._accepted, self._alone = frozenset(source.accept), alone
        self._options = Options(
            direction,
            source.source_column,
            source.target_column,
            source.quoting or source.format == "csv",
            source.header,
            source.separator,
        )

    def bilingual(self) -> Iterator[Found]:
        """Read files that contain both languages."""
        for name, group in self._chosen():
            told: dict[str, None] = {}
            with self._pieces(name) as pieces:
                for piece in pieces:
                    match piece:
                        case Unit():
                            yield from self._unit(name, group, piece, told)
                        case _:
                            yield from self._other(name, piece)

    def _unit(self, name: str, group: str, unit: Unit, told: dict[str, None]) -> Iterator[Found]:
        place = f"{name}: line {unit.line}"
        if not self._alone and self._source.format == "xliff" and not unit.languages[1]:
            fault = "the target language is not declared, and the corpus is read in several: set its `direction`"
            raise FormatError(f"{self._members.place}: {place}: {fault}")
        both = zip(unit.languages, self._direction, strict=True)
        if not all(not given or matches(given, wanted) for given, wanted in both):
            declared = " to ".join(each or "?" for each in unit.languages)
            self.languages[declared] = None
            yield LeftOut(OTHER_LANGUAGES, place, f"{declared}: {unit.source}")
            return
        for given, wanted in zip(unit.languages, self._direction, strict=True):
            if given and given != wanted and given not in told:
                told[given] = None
                yield Remark(f"{self._members.place}: {name}: {given} is read as {wanted}")
        if self._format.complete and unit.target is None:
            column = self._options.target_column
            fault = f"the target (column {column}, counted from 0) is empty; fill it or delete the row"
            raise FormatError(f"{self._members.place}: {place}: {fault}")
        yield self._judge(unit.source, unit.target, unit.flags, place, group or unit.group)

    def _judge(self, source: str, target: str | None, flags: Iterable[str], place: str, group: str) -> Found:
        refused = next((flag for flag in flags if flag not in self._accepted), None)
        if not source.strip():
            return LeftOut("empty source" if target else "blank line", place, target or "")
        if target is None or not target.strip():
            return LeftOut("not translated", place, source)
        if refused is not None:
            return LeftOut(refused, place, source)
        self.pairs += 1
        return RawPair(source, target, group)

    def monolingual(self) -> Iterator[Found]:
        """Read pairs of files, one file per language."""
        members, pattern = self._members, self._source.pattern or ""
        sources, targets = (members.sides(pattern, language) for language in self._direction)
        if not sources and not targets:
            raise FormatError(f"{members.place}: no file matches {pattern!r}; there are {', '.join(members.names[:5])}")
        both = [key for key in sources if key in targets]
        for key in sources.keys() ^ targets.keys() if self._format.ordered else ():
            there, missing = (sources, self._direction.target) if key in sources else (targets, self._direction.source)
            raise FormatError(f"{members.place}: {there[key].name} has no counterpart for {missing!r} ({pattern})")
        if not both:
            found = (
                f"{len(sources):,} for {self._direction.source!r} and {len(targets):,} for {self._direction.target!r}"
            )
            raise FormatError(f"{members.place}: no catalogue exists in both languages: {pattern!r} matches {found}")
        for key in both:
            pair = self._by_position if self._format.ordered else self._by_key
            yield from pair(sources[key], targets[key])
        for key in sources:
            if key not in targets:
                yield LeftOut(f"no file for {self._direction.target}", sources[key].name, "")

    def _by_position(self, source: Side, target: Side) -> Iterator[Found]:
        count = [0, 0]
        with self._pieces(source.name) as left, self._pieces(target.name) as right:
            for pair in zip_longest(_units(left), _units(right)):
                one, other = pair
                count[0] += one is not None
                count[1] += other is not None
                if one is None or other is None:
                    continue
                yield self._judge(one.source, other.source, (), f"{source.name}: line {one.line}", "")
        if count[0] != count[1]:
            one = "line" if self._source.format == "moses" else "text"
            raise FormatError(
                f"{self._members.place}: {source.name} has {count[0]:,} {one}s and {target.name} has {count[1]:,}; "
                f"{one} N of one file must be the translation of {one} N of the other"
            )

    def _by_key(self, source: Side, target: Side) -> Iterator[Found]:
        translated: dict[str, Unit] = {}
        with self._pieces(target.name) as pieces:
            for piece in pieces:
                match piece:
                    case Unit():
                        translated[piece.key] = piece
                    case _:
                        yield from self._other(target.name, piece)
        others = {}  # sources of the plural form `other`, which also pair with forms that the source language lacks
        with self._pieces(source.name) as pieces:
            for piece in pieces:
                match piece:
                    case Unit():
                        other = translated.pop(piece.key, None)
                        if piece.other == piece.key:
                            others[piece.key] = piece
                        yield self._both(piece, other, source)
                    case _:
                        yield from self._other(source.name, piece)
        for unit in translated.values():
            if unit.other in others:
                yield self._both(others[unit.other], unit, source)
            else:
                yield LeftOut("no source", f"{target.name}: line {unit.line}", unit.source)

    def _both(self, unit: Unit, other: Unit | None, side: Side) -> Found:
        target, flags = (None, unit.flags) if other is None else (other.source, (*unit.flags, *other.flags))
        return self._judge(unit.source, target, flags, f"{side.name}: line {unit.line}", side.group or unit.group)

    def _other(self, name: str, piece: Piece) -> Iterator[Found]:
        match piece:
            case Skip(_, reason, line, text):
                if reason == OTHER_LANGUAGES:
                    self.languages[text] = None
                yield LeftOut(reason, f"{name}: line {line}", text)
            case Notice(line, message):
                yield Remark(f"{self._members.place}: {name}: line {line}: {message}")

    def _chosen(self) -> list[tuple[str, str]]:
        members, pattern = self._members, self._source.pattern
        if pattern is None:
            return [(members.only(), "")]
        sides = members.sides(pattern, self._direction.target).values()
        if not sides:
            raise FormatError(f"{members.place}: no file matches {pattern!r}; there are {', '.join(members.names[:5])}")
        return [(side.name, side.group) for side in sides]

    @contextmanager
    def _pieces(self, name: str) -> Iterator[Iterator[Piece]]:
        with self._members.open(name) as stream:
            file = TextFile(stream, f"{self._members.place}: {name}", self._source.encoding, self._format.declared)
            yield self._format.read(file, self._options)


def _units(pieces: Iterator[Piece]) -> Iterator[Unit]:
    return (piece for piece in pieces if isinstance(piece, Unit))
