"""`seqloom translate`: translate texts, or lines of a file or a pipe."""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from seqloom.cli.model_names import default_model
from seqloom.errors import ParamsError, SeqloomError
from seqloom.files import replacing

if TYPE_CHECKING:
    from seqloom.decoding.settings import SearchSettings
    from seqloom.translation.results import Result
    from seqloom.translation.texts import TextTranslator

CHUNK = 256  # lines of a file or a pipe that are translated together

NAME = "translate"
HELP = "translate texts, or lines"
DESCRIPTION = """\
Translate texts, or standard input line by line. The output has the same number of lines in the same order, and empty
lines stay empty. Texts can have any length: they are translated sentence by sentence, and their white space and line
breaks are kept. Placeholders and markup such as {name}, %s and <b> are kept, each exactly as often as in the text.
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

The default of each search option is the setting that the model was registered with (params.yaml, section search).
Lines of a file or a pipe are translated 256 at a time; lines typed in a terminal one at a time (Ctrl-D ends the input).
"""

# Option, its type, the search setting that it overrides, and its help text.
_SEARCH: tuple[tuple[str, type[str] | type[int] | type[float], str, str], ...] = (
    ("--method", str, "method", "beam, sampling, mbr (minimum Bayes risk) or generate (only for pretrained models)"),
    ("--beam", int, "beam", "beam width; 1 is greedy search, the fastest"),
    ("--length-penalty", float, "length_penalty", "exponent; higher values prefer longer translations"),
    ("--no-repeat-ngram", int, "no_repeat_ngram", "do not repeat n-grams of this size; 0 is off"),
    ("--temperature", float, "temperature", "sampling temperature; below 1 is less random"),
    ("--top-k", int, "top_k", "sample from the K most likely pieces"),
    ("--top-p", float, "top_p", "sample from the most likely pieces with total probability P"),
    ("--samples", int, "samples", "number of samples for minimum Bayes risk"),
    ("--seed", int, "seed", "random seed for sampling"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments of the command."""
    add = parser.add_argument
    add("texts", metavar="TEXT", nargs="*", help="a text; default: lines of standard input")
    add("--model", metavar="MODEL", action="append", help="see below (default: the champion of params.yaml)")
    add("--to", metavar="LANGUAGE", help="the target language, if the model has several")
    add("--device", metavar="DEVICE", default="auto", help="auto, cpu or cuda (default: auto)")
    add("--input", metavar="FILE", type=Path, help="read lines from FILE")
    add("--output", metavar="FILE", type=Path, help="write lines to FILE, only when all are translated")
    add("--prefix", metavar="TEXT", help="begin every translation with TEXT")
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--tsv",
        action="store_true",
        help="write four columns: source, translation, flags, confidence (0 to 1); no line if a side is empty",
    )
    form.add_argument("--n-best", metavar="N", type=_positive, help="write N lines each: number, TAB, score, TAB, text")
    form.add_argument("--attention", metavar="PNG", type=Path, help="draw the attention weights for one TEXT")
    search = parser.add_argument_group("search")
    for option, kind, setting, help_text in _SEARCH:
        search.add_argument(
            option, type=kind, dest=setting, metavar=option.strip("-").split("-")[-1].upper(), help=help_text
        )
    faster = "stop when no open hypothesis would win if it ended now: faster, but can change a translation"
    search.add_argument("--early-stopping", action=argparse.BooleanOptionalAction, help=faster)


def run(options: argparse.Namespace) -> None:
    """Translate the texts or lines, and write the results."""
    if options.texts and options.input:
        options.usage_error("give texts or --input, not both")
    if options.attention and len(options.texts) != 1:
        options.usage_error("--attention needs exactly one TEXT argument")
    for number, text in enumerate(options.texts, start=1):
        if not text.isprintable() and any("\ud800" <= character <= "\udfff" for character in text):
            raise SeqloomError(f"TEXT {number}: not valid UTF-8")
    # Open the input first, so that a wrong name fails before the model is loaded.
    with options.input.open("rb") if options.input else sys.stdin.buffer as source:
        translator = _load(options)
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


def _load(options: argparse.Namespace) -> "TextTranslator":
    names = options.model or [f"models:/{default_model()}@champion"]
    first, *others = [_folder(name) for name in names]
    from seqloom.translation.texts import TextTranslator

    translator = TextTranslator.load(first, options.device, others=others, engine="auto")
    return translator.with_search(_search_settings(translator.search, options))


def _folder(name: str) -> Path:
    if name.startswith("models:"):
        from seqloom.tracking.client.store import connect
        from seqloom.tracking.registry.versions import fetch_model, parse_reference

        wanted = parse_reference(name)
        return fetch_model(connect(Path.cwd(), create=False), wanted)
    if not Path(name).is_dir():
        raise SeqloomError(f"{name}: is neither a model folder nor a registered model (models:/NAME@ALIAS)")
    return Path(name)


def _search_settings(search: "SearchSettings", options: argparse.Namespace) -> "SearchSettings":
    """Return the model's search settings, overridden by the options. Raises `ParamsError` if the result is invalid."""
    from pydantic import ValidationError

    given: dict[str, Any] = {setting: getattr(options, setting) for _, _, setting, _ in _SEARCH}
    given["early_stopping"] = options.early_stopping
    asked = {setting: value for setting, value in given.items() if value is not None}
    if asked.get("method") == "generate":
        asked["normalization"] = "average"  # the only one that `generate` supports
    try:
        return type(search).model_validate(search.model_dump() | asked)
    except ValidationError as error:
        fault = error.errors()[0]
        if fault["type"] == "value_error":  # from a check of several settings
            raise ParamsError(f"search.{fault['loc'][0]} {fault['ctx']['error']}") from error
        named = "".join(option for option, _, setting, _ in _SEARCH if (setting,) == fault["loc"])
        raise ParamsError(f"{named}: {fault['msg'][0].lower()}{fault['msg'][1:]}, got {fault['input']!r}") from error
