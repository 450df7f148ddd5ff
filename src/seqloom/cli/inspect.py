"""`seqloom inspect`: show what is read from a file of translations."""

import argparse
from collections import Counter
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from seqloom.cli.model_names import PARAMS
from seqloom.errors import ParamsError, SeqloomError
from seqloom.printable import printable

if TYPE_CHECKING:
    from seqloom.corpus.monolingual_settings import FileTexts
    from seqloom.corpus.reading import CorpusRemark, LeftOut, RawPair, RawText
    from seqloom.corpus.source_settings import FileSource
    from seqloom.languages import Direction

NAME = "inspect"
HELP = "show what is read from a file of translations, and what is skipped"
DESCRIPTION = """\
Read files as prepare_corpus would, before you add them to params.yaml. Show how many pairs each file has, what is
skipped and why, what looks wrong, and some of the pairs. Nothing is written.
"""
EPILOG = """\
examples:
  seqloom inspect memory.tmx
  seqloom inspect --source en --target pt-BR messages.po
  seqloom inspect 'locales/{lang}.json'            one file per language; {lang} is replaced by its code
  seqloom inspect --encoding cp1252 --format tsv old.txt
  seqloom inspect --language de news.txt.gz        texts in one language, one per line
  seqloom inspect --source-column src --target-column tgt pairs.parquet

Give the options that a file needs as settings of its corpus in params.yaml; they have the same names.
"""

_WIDTH = 76  # characters shown of a text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments of the command."""
    add = parser.add_argument
    add("files", metavar="FILE", nargs="+", help="a file, or a name with {lang} for one file per language")
    add("--format", metavar="FORMAT", help="as in params.yaml, such as tmx; default: by the file's name")
    add("--source", metavar="LANGUAGE", help="default: the source language of params.yaml")
    add("--target", metavar="LANGUAGE", help="default: the target language of params.yaml")
    add("--encoding", metavar="NAME", help="default: the encoding that the file declares, or utf-8")
    add("--quoting", action="store_true", help="the cells of a TSV may be quoted")
    add("--header", action="store_true", help="the first row of a TSV or CSV is a header")
    add("--delimiter", choices=["tab", "comma", "semicolon"], help="the delimiter of a TSV or CSV")
    add("--source-column", metavar="COLUMN", help="the number (TSV, CSV) or name (Parquet) of a column")
    add("--target-column", metavar="COLUMN", help="as --source-column")
    add("--language", metavar="LANGUAGE", help="read texts in this language, as a monolingual corpus")
    add("--column", metavar="COLUMN", help="with --language: the column of the texts")
    add("--accept", metavar="FLAG", action="append", help="also read translations with this flag, such as fuzzy")
    add("--pairs", metavar="N", type=int, default=10, help="number of pairs to show (default: 10)")


def run(options: argparse.Namespace) -> None:
    """Read each file and print what was found. Errors are raised after all files have been read."""
    direction = None if options.language else _direction(options)
    faults = []
    for name in options.files:
        try:
            lines = _texts_report(name, options) if direction is None else _report(name, direction, options)
            print("\n".join(lines))
        except ParamsError:
            raise  # an option is invalid, which affects every file
        except SeqloomError as error:
            faults.append(str(error))
    if faults:
        raise SeqloomError("\n".join(faults))


def _direction(options: argparse.Namespace) -> "Direction":
    from seqloom.languages import Direction

    if options.source and options.target:
        return Direction(options.source, options.target)
    from seqloom.params import load_purpose

    if not PARAMS.exists():
        raise ParamsError("there is no params.yaml here: give the files' languages, such as --source en --target de")
    ours = load_purpose(PARAMS).languages.directions[0]
    return Direction(options.source or ours.source, options.target or ours.target)


def _report(name: str, direction: "Direction", options: argparse.Namespace) -> list[str]:
    from seqloom.corpus.members import Members
    from seqloom.corpus.reading import RawPair, read_corpus

    source = _settings(name, options)
    path = Path(name)
    names = [path.name]
    if "{lang}" in name:
        path = Path(name.partition("{lang}")[0] + "x")  # a path in the folder that both files share
        folder = path.parent
        names = [str(Path(name.replace("{lang}", each)).relative_to(folder)) for each in direction]
        source = source.model_copy(update={"members": str(Path(name).relative_to(folder))})
    for each in names:
        if not (path.parent / each).is_file():
            raise SeqloomError(f"{path.parent / each}: file not found")
    members = Members(PurePath(name).parent.as_posix(), path.parent, None, names)
    tally = _Tally(options.pairs)
    for _, found in read_corpus(members, source, [direction]):
        tally.add(found)
    lines = [
        name,
        f"  read as    {source.format}, {direction.source} to {direction.target}",
        f"  pairs      {tally.total:,}",
    ]
    lines += tally.lines()
    for pair in tally.shown:
        if isinstance(pair, RawPair):
            lines += [f"    {_short(pair.source)}", f"      -> {_short(pair.target)}"]
    return lines


def _texts_report(name: str, options: argparse.Namespace) -> list[str]:
    from seqloom.corpus.members import Members
    from seqloom.corpus.reading import RawText, read_monolingual

    source, path = _text_settings(name, options), Path(name.replace("{lang}", options.language))
    if not path.is_file():
        raise SeqloomError(f"{path}: file not found")
    members = Members(path.parent.as_posix(), path.parent, None, [path.name])
    tally = _Tally(options.pairs)
    for found in read_monolingual(members, source):
        tally.add(found)
    lines = [name, f"  read as    {source.format}, {source.language}", f"  texts      {tally.total:,}", *tally.lines()]
    return lines + [f"    {_short(each.text)}" for each in tally.shown if isinstance(each, RawText)]


class _Tally:
    """Counts what is read, and keeps the first `most` pairs or texts."""

    def __init__(self, most: int) -> None:
        self.total = 0
        self.shown: list[RawPair | RawText] = []
        self._left: list[LeftOut] = []
        self._most, self._remarks = most, list[str]()
        self._reasons: Counter[str] = Counter()

    def add(self, found: "RawPair | RawText | LeftOut | CorpusRemark") -> None:
        from seqloom.corpus.reading import CorpusRemark, LeftOut

        match found:
            case LeftOut():
                if found.reason not in self._reasons:
                    self._left.append(found)
                self._reasons[found.reason] += 1
            case CorpusRemark(message):
                self._remarks.append(message)
            case _:
                self.total += 1
                if len(self.shown) < self._most:
                    self.shown.append(found)

    def lines(self) -> list[str]:
        """What is left out, with the first example of each reason, and the remarks."""
        left = [f"  left out   {self._reasons[each.reason]:,} {each.reason}: {_shown(each)}" for each in self._left]
        return left + [f"  note       {message}" for message in self._remarks]


def _settings(name: str, options: argparse.Namespace) -> "FileSource":
    from seqloom.corpus.source_settings import FileSource

    given = {
        **_given(name, options), "path": "data/local/{lang}" if "{lang}" in name else "data/local/f",
        "members": "{lang}" if "{lang}" in name else name, "source_column": _column(options.source_column),
        "target_column": _column(options.target_column),
    }  # fmt: skip
    source: FileSource = _valid(FileSource, given)
    return source if "{lang}" in name else source.model_copy(update={"members": None})


def _text_settings(name: str, options: argparse.Namespace) -> "FileTexts":
    from seqloom.corpus.monolingual_settings import SIDED, TEXT, FileTexts

    given = {**_given(name, options, TEXT), "path": "data/local/f", "language": options.language}
    given |= {"column": _column(options.column), "members": name}
    if given["format"] in SIDED:
        given["direction"] = _direction(options)._asdict()
    source: FileTexts = _valid(FileTexts, given)
    return source.model_copy(update={"members": None})


def _given(name: str, options: argparse.Namespace, plain: str | None = None) -> dict[str, Any]:
    """Return the settings that the options give; the format of a `.txt` is `plain` if that is given."""
    from seqloom.formats.catalogue import format_of

    found = format_of(name)
    format = options.format or (plain if plain and found in (None, "moses") else found)
    if format is None:
        raise SeqloomError(f"{name}: the format cannot be inferred from the file's name; give it with --format")
    given = {
        "kind": "file", "format": format, "encoding": options.encoding, "quoting": options.quoting,
        "header": options.header, "delimiter": options.delimiter,
    }  # fmt: skip
    return {**given, **({"accept": options.accept} if options.accept else {})}


def _column(text: str | None) -> int | str | None:
    return int(text) if text and text.isdecimal() else text


def _valid(record: Any, given: dict[str, Any]) -> Any:
    from pydantic import ValidationError

    try:
        return record.model_validate(given)
    except ValidationError as error:
        fault = error.errors()[0]
        raise ParamsError(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}, got {fault['input']!r}") from error


def _shown(left: "LeftOut") -> str:
    return f"{left.place}: {_short(left.text)}" if left.text.strip() else left.place


def _short(text: str) -> str:
    line = printable(" ".join(text.split()))
    return line if len(line) <= _WIDTH else line[: _WIDTH - 3] + "..."
