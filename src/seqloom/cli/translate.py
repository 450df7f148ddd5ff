"""`seqloom translate`: translate texts, or lines of a file or a pipe."""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from seqloom.cli import loading, translate_documents
from seqloom.errors import SeqloomError
from seqloom.files import replacing

if TYPE_CHECKING:
    from seqloom.translation.results import Result
    from seqloom.translation.texts import TextTranslator

CHUNK = 256  # lines of a file or a pipe that are translated together

NAME = "translate"
HELP = "translate texts, lines or documents"
DESCRIPTION = """\
Translate texts, or standard input line by line. The output has the same number of lines in the same order, and empty
lines stay empty. Texts can have any length: they are translated sentence by sentence, and their white space and line
breaks are kept. Placeholders and markup such as {name}, %s and <b> are kept, each exactly as often as in the text.

With -o, files and folders are translated as documents: PO, XLIFF, TMX, JSON, YAML, Android, Apple, .properties, HTML,
Markdown, SubRip, text, CSV and TSV. Everything outside their texts stays.
"""
EPILOG = """\
models:
  models:/NAME@ALIAS   the version with an alias: @champion is the best, @candidate the latest version
  models:/NAME/NUMBER  a fixed version
  FOLDER               a folder with a model, such as models/candidate
  Give --model more than once to use an ensemble.

flags, which --tsv prints for each text and the summary on standard error counts:
  copied          a URL, an e-mail address, emoji, only numbers, or an unknown script was copied from the source
  split           a sentence was longer than any in training, so it was translated in parts
  looped          the model repeated itself, so the text was translated again with repetitions blocked
  cut             the maximum length was reached (search.max_length_*), or the source is longer than the model can read
  placeholders    the translation does not have exactly the placeholders of its source
  low_confidence  the translation has a low probability, is empty, lost a copied part, or still repeats itself

documents:
  seqloom translate messages.po -o messages.de.po   fill in what is not translated, marked as machine translation
  seqloom translate de.po -o de.po --force          the same in place
  seqloom translate en.json -o de.json --update     add what de.json lacks, and keep its translations
  seqloom translate en.json docs/ -o translated     several files and folders, into a folder
  A run that was stopped goes on where it was when it is started again. docs/TRANSLATING.md says what each format gets.

The default of each search option is the setting that the model was registered with (params.yaml, section search).
Lines of a file or a pipe are translated 256 at a time; lines typed in a terminal one at a time (Ctrl-D ends the input).
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments of the command."""
    add = parser.add_argument
    add("texts", metavar="TEXT", nargs="*", help="a text, or with -o a document; default: lines of standard input")
    add("--model", metavar="MODEL", action="append", help="see below (default: the champion of params.yaml)")
    add("--from", dest="source", metavar="LANGUAGE", help="documents: the source language, if the model has several")
    add("--to", metavar="LANGUAGE", help="the target language, if the model has several")
    add("--device", metavar="DEVICE", default="auto", help="auto, cpu or cuda (default: auto)")
    add("--input", metavar="FILE", type=Path, help="read lines from FILE")
    add("-o", "--output", metavar="OUT", type=Path, help="write to OUT, only when all is translated")
    add("--prefix", metavar="TEXT", help="begin every translation with TEXT")
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--tsv",
        action="store_true",
        help="write four columns: source, translation, flags, confidence (0 to 1); no line if a side is empty",
    )
    form.add_argument("--n-best", metavar="N", type=_positive, help="write N lines each: number, TAB, score, TAB, text")
    form.add_argument("--attention", metavar="PNG", type=Path, help="draw the attention weights for one TEXT")
    translate_documents.add_arguments(parser)
    loading.add_search(parser)


def run(options: argparse.Namespace) -> None:
    """Translate the texts, lines or documents, and write the results."""
    if translate_documents.wanted(options):
        translate_documents.run(options)
        return
    if options.texts and options.input:
        options.usage_error("give texts or --input, not both")
    if options.attention and len(options.texts) != 1:
        options.usage_error("--attention needs exactly one TEXT argument")
    for number, text in enumerate(options.texts, start=1):
        if not text.isprintable() and any("\ud800" <= character <= "\udfff" for character in text):
            raise SeqloomError(f"TEXT {number}: not valid UTF-8")
    # Open the input first, so that a wrong name fails before the model is loaded.
    with options.input.open("rb") if options.input else sys.stdin.buffer as source:
        translator = loading.load(options).translator
        lines = iter(options.texts) if options.texts else _lines(source, str(options.input or "standard input"))
        interactive = not options.texts and source.isatty()
        summary = Summary()
        results = _output(translator, lines, options, summary, 1 if interactive else CHUNK)
        if options.output is None:
            for result in results:
                sys.stdout.buffer.write(result)
                sys.stdout.buffer.flush()
        else:
            _write(results, options.output)
    summary.write()
    if options.attention:
        _draw(translator, options)


@dataclass
class Summary:
    """The number of translated texts, and how many of them have each flag."""

    texts: int = 0
    flagged: int = 0
    flags: Counter[str] = field(default_factory=Counter)

    def add(self, result: "Result") -> None:
        """Add a translation to the counts."""
        self.texts += 1
        self.flagged += bool(result.flags)
        self.flags.update(result.flags)

    def write(self) -> None:
        """Write the summary to standard error."""
        from seqloom.translation.results import Flag

        sys.stdout.flush()
        count = f"{self.texts:,} text{'' if self.texts == 1 else 's'} translated"
        counts = ", ".join(f"{self.flags[flag]:,} {flag}" for flag in Flag if self.flags[flag])
        flagged = f"{self.flagged:,} with flags: {counts} (see them with --tsv; --help explains them)"
        print(f"seqloom: {count}; {flagged if self.flagged else 'no flags'}", file=sys.stderr)


def _positive(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return number


def _lines(file: BinaryIO, name: str) -> Iterator[str]:
    for number, line in enumerate(file, start=1):
        try:
            yield line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise SeqloomError(f"{name}: line {number}: not valid UTF-8: {error.reason}") from error


def _output(
    translator: "TextTranslator", lines: Iterator[str], options: argparse.Namespace, summary: Summary, chunk: int
) -> Iterator[bytes]:
    """Yield the output for the lines, as UTF-8, one chunk at a time."""
    form: Callable[[int, str, list[Result]], str] = _plain
    if options.tsv:
        form = _pair
    elif options.n_best:
        form = _ranked
    number = 0
    while texts := list(islice(lines, chunk)):
        prefixes = None if options.prefix is None else [options.prefix] * len(texts)
        found = translator.hypotheses(texts, options.n_best or 1, language=options.to, prefixes=prefixes)
        for best, *_ in found:
            summary.add(best)
        numbers = range(number + 1, number + len(texts) + 1)
        yield "".join(map(form, numbers, texts, found)).encode()
        number += len(texts)


def _plain(number: int, text: str, found: "list[Result]") -> str:
    return f"{found[0].text}\n"


def _pair(number: int, text: str, found: "list[Result]") -> str:
    source, best = _one_line(text), found[0]
    target = _one_line(best.text)
    confidence = "" if best.confidence is None else f"{best.confidence:.4f}"
    # A corpus cannot have a pair with an empty side.
    return f"{source}\t{target}\t{','.join(best.flags)}\t{confidence}\n" if source and target else ""


def _ranked(number: int, text: str, found: "list[Result]") -> str:
    return "".join(f"{number}\t{each.score:.4f}\t{_one_line(each.text)}\n" for each in found)


def _one_line(text: str) -> str:
    """Return the text without tabs and line breaks, which may occur in tags copied from the source."""
    return " ".join(text.split())


def _write(results: Iterator[bytes], output: Path) -> None:
    with replacing(output) as beside, beside.open("wb") as file:
        file.writelines(results)


def _draw(texts_translator: "TextTranslator", options: argparse.Namespace) -> None:
    from seqloom.evaluation.heat_map import draw_heat_map

    translator = texts_translator.translator
    prefixes = None if options.prefix is None else [options.prefix]
    ((found, *_),) = translator.hypotheses(options.texts, language=options.to, prefixes=prefixes)
    seen = translator.attention(options.texts[0], found.ids, options.to)
    draw_heat_map(seen.weights.tolist(), seen.source, seen.target, options.attention)
