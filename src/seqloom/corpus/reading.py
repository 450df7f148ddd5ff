"""Reads the files of a corpus into raw pairs or texts: matches files of two languages, and selects what to use.

Nothing is dropped silently: a text that is not used is yielded as `LeftOut` with the reason.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import zip_longest
from typing import NamedTuple

from seqloom.corpus.catalogue_settings import MtdataSource
from seqloom.corpus.corpora_settings import Source
from seqloom.corpus.members import MatchedFile, Members
from seqloom.corpus.monolingual_settings import TEXT, MonolingualSource
from seqloom.corpus.source_settings import FileSettings
from seqloom.corpus.sources.mtdata import DESCRIPTION, as_described
from seqloom.errors import FormatError
from seqloom.formats.catalogue import FORMATS, Format
from seqloom.formats.encoding import TextFile
from seqloom.formats.language_tags import matches
from seqloom.formats.pieces import Options, Piece, Remark, Skip, Unit
from seqloom.languages import Direction

OTHER_LANGUAGES = "other languages"
MOST_REMARKS = 20  # per corpus; further ones are only counted


class RawPair(NamedTuple):
    """A text and its translation as they are in the file.

    `group` is the catalogue that the pair comes from; splitting keeps a group together. It is empty for formats without
    groups (tsv, moses), whose pairs stay together with those of the same source text.
    """

    source: str
    target: str
    group: str


class RawText(NamedTuple):
    """A text of a monolingual corpus as it is in the file; `group` is the catalogue or document, or empty."""

    text: str
    group: str


class LeftOut(NamedTuple):
    """A text that does not become a pair, or is not used as a text of its own, and why."""

    reason: str
    place: str  # file and line
    text: str


class CorpusRemark(NamedTuple):
    """A remark for the user about a corpus or one of its files, with the setting to change if there is one."""

    message: str


Found = RawPair | LeftOut | CorpusRemark


def read_corpus(members: Members, source: Source, directions: Sequence[Direction]) -> Iterator[tuple[Direction, Found]]:
    """Yield a corpus's pairs, direction by direction in file order, together with texts left out and remarks.

    Each remark is yielded once; after the first `MOST_REMARKS`, only a final one with the number of the rest. An XLIFF
    file may omit its target language only if there is a single direction.

    Raises:
        FormatError: a file is broken, a file's counterpart is missing, or no text exists in both languages.
    """
    remarks = _Remarks(members.place)
    if isinstance(source, MtdataSource):
        source = as_described(source, members.read(DESCRIPTION), directions[0], members.place)
    for direction in directions:
        for each in _read_direction(members, source, direction, only_direction=len(directions) == 1):
            if not isinstance(each, CorpusRemark) or remarks.is_shown(each):
                yield direction, each
    for rest in remarks.rest():
        yield directions[-1], rest


def read_monolingual(members: Members, source: MonolingualSource) -> Iterator[RawText | LeftOut | CorpusRemark]:
    """Yield the texts of a monolingual corpus in file order, together with what is left out and remarks.

    Remarks are limited as by `read_corpus`.

    Raises:
        FormatError: a file is broken, or no file matches `members` of the corpus.
    """
    remarks = _Remarks(members.place)
    found = False
    for each in _TextReader(members, source).texts():
        found |= not isinstance(each, CorpusRemark)
        if not isinstance(each, CorpusRemark) or remarks.is_shown(each):
            yield each
    yield from remarks.rest()
    if not found:
        yield CorpusRemark(f"{members.place}: the files contain no texts")


class _Remarks:
    """The remarks of a corpus: each is shown once, and only the first few are."""

    def __init__(self, place: str) -> None:
        self._place, self._seen = place, set[str]()

    def is_shown(self, remark: CorpusRemark) -> bool:
        """Count a remark, and return whether it is to be shown."""
        known = remark.message in self._seen
        self._seen.add(remark.message)
        return not known and len(self._seen) <= MOST_REMARKS

    def rest(self) -> Iterator[CorpusRemark]:
        """Yield a remark with the number of those that were not shown, if there are any."""
        if (hidden := len(self._seen) - MOST_REMARKS) > 0:
            yield CorpusRemark(f"{self._place}: {hidden:,} further remarks are not shown")


def _read_direction(members: Members, source: Source, direction: Direction, *, only_direction: bool) -> Iterator[Found]:
    chosen = FORMATS[source.format]
    reader = _Reader(members, source, direction, chosen, only_direction)
    found = False
    for each in reader.bilingual() if chosen.bilingual else reader.monolingual():
        found |= not isinstance(each, CorpusRemark)
        yield each
    if reader.pairs == 0 and reader.languages:
        seen = ", ".join(reader.languages)
        raise FormatError(f"{members.place}: has no translations from {' to '.join(direction)}; found {seen}")
    if not found:
        yield CorpusRemark(f"{members.place}: the files contain no texts")


class _Reader:
    """State while reading a corpus."""

    def __init__(
        self, members: Members, source: Source, direction: Direction, chosen: Format, only_direction: bool
    ) -> None:
        self.pairs = 0
        self.languages: dict[str, None] = {}  # language pairs of the texts left out for their languages
        self._members, self._source, self._direction, self._format = members, source, direction, chosen
        self._accepted, self._only_direction = frozenset(source.accept), only_direction
        self._noticed: set[str] = set()  # declared languages with a remark
        self._options = _options(source, direction, source.columns, source.column_names)

    def bilingual(self) -> Iterator[Found]:
        """Read files that contain both languages."""
        pattern = self._source.pattern_of(self._direction)
        for name, group in _chosen(self._members, pattern, self._direction.target):
            with self._pieces(name) as pieces:
                for piece in pieces:
                    match piece:
                        case Unit():
                            yield from self._unit(name, group, piece)
                        case _:
                            yield from self._other(name, piece)

    def _unit(self, name: str, group: str, unit: Unit) -> Iterator[Found]:
        place = f"{name}: line {unit.line}"
        if not self._only_direction and self._source.format == "xliff" and not unit.languages[1]:
            fault = "the target language is not declared, and the corpus is read in several: set its `direction`"
            raise FormatError(f"{self._members.place}: {place}: {fault}")
        if not _has_languages(unit, self._direction):
            declared = _declared(unit)
            self.languages[declared] = None
            yield LeftOut(OTHER_LANGUAGES, place, f"{declared}: {unit.source}")
            return
        for given, wanted in zip(unit.languages, self._direction, strict=True):
            if given and given != wanted and given not in self._noticed:
                self._noticed.add(given)
                yield CorpusRemark(f"{self._members.place}: {given} is read as {wanted}")
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
        members, pattern = self._members, self._source.pattern_of(self._direction) or ""
        sources, targets = (members.matching(pattern, language) for language in self._direction)
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

    def _by_position(self, source: MatchedFile, target: MatchedFile) -> Iterator[Found]:
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

    def _by_key(self, source: MatchedFile, target: MatchedFile) -> Iterator[Found]:
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

    def _both(self, unit: Unit, other: Unit | None, file: MatchedFile) -> Found:
        target, flags = (None, unit.flags) if other is None else (other.source, (*unit.flags, *other.flags))
        return self._judge(unit.source, target, flags, f"{file.name}: line {unit.line}", file.group or unit.group)

    def _other(self, name: str, piece: Piece) -> Iterator[Found]:
        match piece:
            case Skip(_, reason, line, text):
                if reason == OTHER_LANGUAGES:
                    self.languages[text] = None
                yield LeftOut(reason, f"{name}: line {line}", text)
            case Remark(line, message):
                yield CorpusRemark(f"{self._members.place}: {name}: line {line}: {message}")

    def _pieces(self, name: str) -> AbstractContextManager[Iterator[Piece]]:
        return _opened(self._members, name, self._source, self._format, self._options)


class _TextReader:
    """State while reading a monolingual corpus."""

    def __init__(self, members: Members, source: MonolingualSource) -> None:
        self._members, self._source = members, source
        self._format = FORMATS["moses" if source.format == TEXT else source.format]
        self._accepted, self._pairs = frozenset(source.accept), source.direction is not None
        column, name = source.column or 0, source.column or "text"
        number, name = (column if isinstance(column, int) else 0), (name if isinstance(name, str) else "")
        self._options = _options(source, source.pair_direction, (number, number), (name, name))

    def texts(self) -> Iterator[RawText | LeftOut | CorpusRemark]:
        """Read the files."""
        for name, group in _chosen(self._members, self._source.pattern, self._source.language):
            with _opened(self._members, name, self._source, self._format, self._options) as pieces:
                for piece in pieces:
                    place = f"{self._members.place}: {name}: line"
                    match piece:
                        case Unit():
                            yield self._judge(piece, f"{name}: line {piece.line}", group)
                        case Skip(_, reason, line, text):
                            yield LeftOut(reason, f"{name}: line {line}", text)
                        case Remark(line, message):
                            yield CorpusRemark(f"{place} {line}: {message}")

    def _judge(self, unit: Unit, place: str, group: str) -> RawText | LeftOut:
        is_target = self._source.reads_target
        if self._pairs and not _has_languages(unit, self._source.pair_direction):
            return LeftOut(OTHER_LANGUAGES, place, f"{_declared(unit)}: {unit.source}")
        text = (unit.target or "") if is_target else unit.source
        # A flag is about the translation, so it does not matter for the source of a pair.
        flags = unit.flags if is_target or not self._pairs else ()
        refused = next((flag for flag in flags if flag not in self._accepted), None)
        if not text.strip():
            return LeftOut("not translated" if is_target else "blank line", place, unit.source)
        if refused is not None:
            return LeftOut(refused, place, text)
        return RawText(text, group or unit.group)


def _has_languages(unit: Unit, direction: Direction) -> bool:
    """Return whether the file declares these languages for a unit, or none."""
    return all(not given or matches(given, wanted) for given, wanted in zip(unit.languages, direction, strict=True))


def _declared(unit: Unit) -> str:
    return " to ".join(each or "?" for each in unit.languages)


def _options(source: FileSettings, direction: Direction, columns: tuple[int, int], names: tuple[str, str]) -> Options:
    quoting = source.quoting or source.format == "csv"
    return Options(direction, *columns, quoting, source.header, source.separator, "", *names)


def _chosen(members: Members, pattern: str | None, language: str) -> list[tuple[str, str]]:
    """Return the files to read, each with its group."""
    if pattern is None:
        return [(members.only(), "")]
    files = members.matching(pattern, language).values()
    if not files:
        raise FormatError(f"{members.place}: no file matches {pattern!r}; there are {', '.join(members.names[:5])}")
    return [(file.name, file.group) for file in files]


@contextmanager
def _opened(
    members: Members, name: str, source: FileSettings, chosen: Format, options: Options
) -> Iterator[Iterator[Piece]]:
    with members.open(name) as stream:
        # A name, because a TextFile closes the stream when it is collected, which must not be before this block ends.
        file = TextFile(stream, f"{members.place}: {name}", source.encoding, chosen.declared)
        yield chosen.read(file, options)


def _units(pieces: Iterator[Piece]) -> Iterator[Unit]:
    return (piece for piece in pieces if isinstance(piece, Unit))
