"""The command line: `seqloom translate`, `seqloom info` and `seqloom preset`. Thin: it reads arguments, calls rooms and writes text.

Everything heavy is imported where it is needed, so that --help answers at once.
"""

import argparse
import json
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from seqloom import __version__
from seqloom.errors import ParamsError, SeqloomError

if TYPE_CHECKING:
    from seqloom.decoding.translator import Translator
    from seqloom.tracking.versions import Interval, Version

CHUNK = 256  # lines that are translated together when they come from a file or a pipe
PARAMS = Path("params.yaml")
FAILED, INTERRUPTED, PIPE_CLOSED = 1, 130, 141

_DESCRIPTION = "Translate with a model that seqloom trained, and see which models there are."
_EPILOG = """\
examples:
  seqloom translate "Turn on the light"              with the champion of the model that params.yaml trains
  seqloom translate < in.txt > out.txt               a translation per line
  seqloom translate --input in.txt --output out.txt  the same; out.txt appears when it is whole
  seqloom translate --model models:/seqloom-en-de/3 "Good morning"
  seqloom info                                       versions, scores and data
  seqloom preset multilingual                        params.yaml for three directions in one model

A model is trained and registered by `make run` or `dvc repro`. MLFLOW_TRACKING_URI names the registry; without it,
that is mlflow.db in this folder.
"""
_TRANSLATE = """\
Translate texts, or standard input line by line: as many lines come out as went in, in the same order, and an empty line
stays empty. Markup and placeholders such as {name}, %s and <b> are kept where the model learned to keep them.
"""
_TRANSLATE_EPILOG = """\
models:
  models:/NAME@ALIAS   a name that moves: @champion is the best version, @candidate the latest
  models:/NAME/NUMBER  a version that stays
  FOLDER               a folder with a model, such as models/candidate

Lines of a file or a pipe are translated 256 at a time; on a terminal, each when it is entered (Ctrl-D ends).
"""
_INFO = "Show what is registered: every version with its scores (95% interval), its data and where it comes from."


_PRESET = """\
Merge presets into params.yaml, its comments kept, or list those there are. `git diff params.yaml` shows what changed,
and `git checkout params.yaml` takes it back.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit status: 0 done, 1 failed, 2 misused, 130 Ctrl-C, 141 closed pipe."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
        sys.stdout.flush()
    except SeqloomError as error:
        _fail(options, str(error))
    except BrokenPipeError:  # whoever read has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes at exit
        sys.exit(PIPE_CLOSED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except OSError as error:
        _fail(options, f"{error.filename or 'this machine'}: {error.strerror or error}")


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--debug", action="store_true", help="show where an error comes from")
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("seqloom", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=layout)
    parser.add_argument("--version", action="version", version=f"seqloom {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    translate = commands.add_parser(
        "translate",
        parents=[shared],
        help="translate texts, or lines",
        description=_TRANSLATE,
        epilog=_TRANSLATE_EPILOG,
        formatter_class=layout,
    )
    translate.add_argument("texts", metavar="TEXT", nargs="*", help="a text; without any, lines of standard input")
    translate.add_argument("--model", metavar="MODEL", help="see below (default: the champion of params.yaml)")
    translate.add_argument("--beam", metavar="N", type=_beam, help="width of the beam search; 1 is fastest")
    translate.add_argument("--device", metavar="DEVICE", default="auto", help="auto, cpu or cuda (default: auto)")
    translate.add_argument("--input", metavar="FILE", type=Path, help="read lines from FILE")
    translate.add_argument("--output", metavar="FILE", type=Path, help="write lines to FILE, whole or not at all")
    translate.set_defaults(command=_translate, misused=translate.error)

    info = commands.add_parser("info", parents=[shared], help="show what is registered", description=_INFO)
    info.add_argument(
        "--model", metavar="NAME", help="a model (seqloom-en-de) or a version (models:/seqloom-en-de@champion)"
    )
    info.add_argument("--json", action="store_true", help="for programs: an object with a list of versions")
    info.set_defaults(command=_info)

    preset = commands.add_parser(
        "preset", parents=[shared], help="change params.yaml for a task or a corpus", description=_PRESET
    )
    preset.add_argument("names", metavar="NAME", nargs="*", help="presets, the later over the earlier; none lists them")
    preset.set_defaults(command=_preset)
    return parser


def _beam(text: str) -> int:
    beam = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= beam <= 256:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 256")
    return beam


def _translate(options: argparse.Namespace) -> None:
    if options.texts and options.input:
        options.misused("give texts or --input, not both")
    with options.input.open("rb") if options.input else sys.stdin.buffer as source:  # a wrong name fails at once
        translator = _load(options)
        lines = iter(options.texts) if options.texts else _lines(source, str(options.input or "standard input"))
        interactive = not options.texts and source.isatty()
        results = _translated(translator, lines, 1 if interactive else CHUNK)
        if options.output is None:
            for result in results:
                sys.stdout.buffer.write(result)
                sys.stdout.buffer.flush()
            return
        beside = options.output.with_name(f".{options.output.name}.part")
        try:
            with beside.open("wb") as file:
                file.writelines(results)
            beside.replace(options.output)
        finally:
            beside.unlink(missing_ok=True)


def _lines(file: BinaryIO, name: str) -> Iterator[str]:
    for number, line in enumerate(file, start=1):
        try:
            yield line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise SeqloomError(f"{name}: line {number}: is not UTF-8: {error.reason}") from error


def _translated(translator: "Translator", lines: Iterator[str], chunk: int) -> Iterator[bytes]:
    """The translations as UTF-8 lines, some at a time."""
    while texts := list(islice(lines, chunk)):
        yield "".join(f"{text}\n" for text in translator.translate(texts)).encode()


def _load(options: argparse.Namespace) -> "Translator":
    name = options.model or f"models:/{_default_model()}@champion"
    folder = Path(name)
    if name.startswith("models:"):
        from seqloom.tracking.store import connect
        from seqloom.tracking.versions import fetch, parse

        wanted = parse(name)
        folder = fetch(connect(Path.cwd(), create=False), wanted)
    elif not folder.is_dir():
        raise SeqloomError(f"{name}: is neither a folder with a model nor a registered one (models:/NAME@ALIAS)")
    from seqloom.decoding.translator import Translator

    translator = Translator.load(folder, options.device)
    if options.beam is not None:
        translator.search = translator.search.model_copy(update={"beam": options.beam})
    return translator


def _default_model() -> str:
    from seqloom.params import load_params
    from seqloom.tracking.names import model_name

    if not PARAMS.exists():
        raise ParamsError("there is no params.yaml here that says which model; name one with --model (see --help)")
    languages = load_params(PARAMS).languages
    return model_name(languages.source, languages.target)


def _info(options: argparse.Namespace) -> None:
    from seqloom.tracking.store import NothingRegisteredError, connect
    from seqloom.tracking.versions import parse, versions

    name = options.model or (_default_model() if PARAMS.exists() else None)
    wanted = parse(name if name.startswith("models:") else f"models:/{name}") if name else None
    found: list[Version] = []
    try:
        store = connect(Path.cwd(), create=False)
        found = versions(store, wanted)
        said = f"{_table(found)}\n\n{store.shown}" if found else f"no version of {name or 'any model'} in {store.shown}"
    except NothingRegisteredError as error:
        said = str(error)
    if options.json:
        said = json.dumps({"versions": [_record(version) for version in found]}, indent=2, ensure_ascii=False)
    print(said)


def _preset(options: argparse.Namespace) -> None:
    from seqloom.presets import FOLDER, find, merge, presets

    if not options.names:
        found = presets()
        if not found:
            raise ParamsError(f"there is no folder {FOLDER} with presets here; run this in a clone of seqloom")
        width = max(len(preset.name) for preset in found)
        print("\n".join(f"{preset.name:<{width}}  {preset.purpose}" for preset in found))
        return
    text = PARAMS.read_text(encoding="utf-8")
    for name in options.names:
        text = merge(text, find(name))
    beside = PARAMS.with_name(f".{PARAMS.name}.part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(PARAMS)
    print(f"{PARAMS} now has {', '.join(options.names)}; `git diff {PARAMS}` shows what changed")


def _record(version: "Version") -> dict[str, Any]:
    """A version as plain data, its scores as objects."""
    return {name: value._asdict() if hasattr(value, "_asdict") else value for name, value in version._asdict().items()}


def _table(found: Sequence["Version"]) -> str:
    heads = ("model", "version", "aliases", "BLEU", "chrF", "TER", "pairs", "data", "commit", "registered")
    rows = [heads, *(_row(version) for version in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _row(version: "Version") -> tuple[str, ...]:
    return (
        version.name,
        version.version,
        ", ".join(version.aliases) or "-",
        *(_score(score) for score in (version.bleu, version.chrf, version.ter)),
        "-" if version.pairs is None else f"{version.pairs:,}",
        version.corpora or "-",
        (version.commit or "-")[:8],
        version.created[:16].replace("T", " "),
    )


def _score(score: "Interval | None") -> str:
    if score is None:
        return "-"
    return f"{score.score:.1f}" + ("" if score.low is None else f" [{score.low:.1f}, {score.high:.1f}]")


def _fail(options: argparse.Namespace, message: str) -> NoReturn:
    if options.debug:
        traceback.print_exc()
    for line in message.splitlines():
        print(f"seqloom: error: {line}", file=sys.stderr)
    sys.exit(FAILED)


if __name__ == "__main__":
    main()
