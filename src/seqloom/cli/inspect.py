"""`seqloom inspect`: show what is read from a file of translations."""

import argparse
from collections import Counter
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from seqloom.cli.model_names import PARAMS
from seqloom.errors import ParamsError, SeqloomError
from seqloom.printable import printable

if TYPE_CHECKING:
    from seqloom.corpus.reading import LeftOut
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
    add("--accept", metavar="FLAG", action="append", help="also read translations with this flag, such as fuzzy")
    add("--pairs", metavar="N", type=int, default=10, help="number of pairs to show (default: 10)")


def run(options: argparse.Namespace) -> None:
    """Read each file and print what was found. Errors are raised after all files have been read."""
    direction = _direction(options)
    faults = []
    for name in options.files:
        try:
            print("\n".join(_report(name, direction, options)))
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
    from seqloom.corpus.reading import CorpusRemark, LeftOut, RawPair, read_corpus

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
    pairs: list[RawPair] = []
    total, left, remarks = 0, list[LeftOut](), list[str]()
    reasons: Counter[str] = Counter()
    for _, found in read_corpus(members, source, [direction]):
        match found:
            case RawPair():
                total += 1
                if len(pairs) < options.pairs:
                    pairs.append(found)
            case LeftOut():
                if found.reason not in reasons:
                    left.append(found)
                reasons[found.reason] += 1
            case CorpusRemark(message):
                remarks.append(message)
    lines = [name, f"  read as    {source.format}, {direction.source} to {direction.target}", f"  pairs      {total:,}"]
    lines += [f"  left out   {reasons[each.reason]:,} {each.reason}: {_shown(each)}" for each in left]
    lines += [f"  note       {message}" for message in remarks]
    for pair in pairs:
        lines += [f"    {_short(pair.source)}", f"      -> {_short(pair.target)}"]
    return lines


def _settings(name: str, options: argparse.Namespace) -> "FileSource":
    from pydantic import ValidationError

    from seqloom.corpus.source_settings import FileSource
    from seqloom.formats.catalogue import format_of

    format = options.format or format_of(name)
    if format is None:
        raise SeqloomError(f"{name}: the format cannot be inferred from the file's name; give it with --format")
    given: dict[str, Any] = {
        "kind": "file", "path": "data/local/{lang}" if "{lang}" in name else "data/local/f", "format": format,
        "members": "{lang}" if "{lang}" in name else name, "encoding": options.encoding, "quoting": options.quoting,
        "header": options.header, "delimiter": options.delimiter,
    }  # fmt: skip
    if options.accept:
        given["accept"] = options.accept
    try:
        source = FileSource.model_validate(given)
    except ValidationError as error:
        fault = error.errors()[0]
        raise ParamsError(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}, got {fault['input']!r}") from error
    return source if "{lang}" in name else source.model_copy(update={"members": None})


def _shown(left: "LeftOut") -> str:
    return f"{left.place}: {_short(left.text)}" if left.text.strip() else left.place


def _short(text: str) -> str:
    line = printable(" ".join(text.split()))
    return line if len(line) <= _WIDTH else line[: _WIDTH - 3] + "..."
