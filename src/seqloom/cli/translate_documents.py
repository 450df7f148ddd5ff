"""The part of `seqloom translate` that translates files and folders as documents."""

import argparse
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from seqloom.cli import loading
from seqloom.errors import DocumentError, SeqloomError
from seqloom.formats.catalogue import format_of
from seqloom.printable import printable
from seqloom.progress import Progress

if TYPE_CHECKING:
    from seqloom.decoding.model_folder import Languages
    from seqloom.documents.document import DocumentOptions, Translate
    from seqloom.documents.report import DocumentReport
    from seqloom.documents.runs import Outcome
    from seqloom.languages import Direction

_INTERVAL = 10.0  # seconds between lines of progress that do not go to a terminal
_AGAIN = ("fuzzy", "draft", "machine", "unapproved", "rejected")
_DELIMITERS = {"tab": "\t", "comma": ",", "semicolon": ";"}
_MOST_EXAMPLES = 3  # of texts left out, per document and reason


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options for documents."""
    add = parser.add_argument_group("documents").add_argument
    add("--again", metavar="FLAG", action="append", choices=_AGAIN, default=[],
        help=f"also replace translations marked {', '.join(_AGAIN)}; can be given several times")  # fmt: skip
    add("--force", dest="existing", action="store_const", const="replace", help="replace documents that exist")
    add("--update", dest="existing", action="store_const", const="update",
        help="add to documents in one language what they lack, by key, and keep their translations")  # fmt: skip
    add("--report", metavar="FILE", type=Path, help="write what was done to FILE, as JSON")
    add("--format", metavar="FORMAT", help="as in params.yaml, such as xliff; default: by the document's name")
    add("--encoding", metavar="NAME", help="default: the encoding that the document declares, or utf-8")
    add("--quoting", action="store_true", help="the cells of a TSV may be quoted")
    add("--header", action="store_true", help="the first row of a TSV or CSV is a header")
    add("--delimiter", choices=list(_DELIMITERS), help="the delimiter of a TSV or CSV")
    add("--source-column", metavar="N", type=int, default=0, help="of a TSV or CSV, counted from 0 (default: 0)")
    add("--target-column", metavar="N", type=int, default=1, help="of a TSV or CSV, counted from 0 (default: 1)")


def wanted(options: argparse.Namespace) -> bool:
    """Return whether the arguments are documents: there is an output, and they are files or have names of files.

    Exits with a usage error if some are and others are not, or if an option does not go with documents.
    """
    documents = [_is_document(text) for text in options.texts] if options.output else []
    if not any(documents):
        for name in ("source", "report"):
            if getattr(options, name) is not None:
                options.usage_error(f"--{'from' if name == 'source' else name} needs documents and -o")
        return False
    if not all(documents):
        text = options.texts[documents.index(False)]
        options.usage_error(f"{text!r} is not a file, but other arguments are")
    for name in ("input", "prefix", "n_best", "attention", "tsv"):
        if getattr(options, name):
            options.usage_error(f"--{name.replace('_', '-')} does not go with documents")
    if min(options.source_column, options.target_column) < 0 or options.source_column == options.target_column:
        options.usage_error("--source-column and --target-column must be two different columns, counted from 0")
    return True


def run(options: argparse.Namespace) -> None:
    """Translate the documents, and say what was done.

    Raises:
        SeqloomError: documents could not be translated; the message has a line for each.
    """
    from seqloom.documents import runs
    from seqloom.documents.journal import Journal

    planned = runs.plan([Path(text) for text in options.texts], options.output, options.format)
    loaded = loading.load(options)
    reading = _options(options, loaded)
    meter = _Meter()
    existing: runs.Existing = options.existing or "refuse"
    with Journal(planned.journal, _identity(loaded, reading.direction)) as journal:
        if journal.results:
            _say(f"texts translated before the last run stopped: {journal.results:,}")
        outcome = runs.run(
            planned, _translate(loaded, reading), journal, reading, existing=existing, listen=meter.listen
        )
    meter.end()
    _tell(outcome, planned.ignored)
    if options.report:
        _write_report(options.report, outcome, loaded.name, reading.direction)
    if outcome.faults:
        raise SeqloomError("\n".join(outcome.faults))


def _is_document(text: str) -> bool:
    try:
        exists = Path(text).exists()
    except (OSError, ValueError):  # longer than a name can be
        return False
    return exists or (format_of(text) is not None and not any(map(str.isspace, text)))


def _options(options: argparse.Namespace, loaded: loading.Loaded) -> "DocumentOptions":
    from seqloom.documents.document import DocumentOptions

    return DocumentOptions(
        _direction(options, loaded.translator.languages),
        format=options.format,
        encoding=options.encoding,
        again=frozenset(options.again),
        engine=f"seqloom, {loaded.name}",
        source_column=options.source_column,
        target_column=options.target_column,
        quoting=options.quoting,
        header=options.header,
        delimiter=_DELIMITERS.get(options.delimiter),
    )


def _direction(options: argparse.Namespace, languages: "Languages") -> "Direction":
    from seqloom.formats.language_tags import matches

    every = languages.directions
    found = [
        each
        for each in every
        if (options.source is None or matches(options.source, each.source))
        and (options.to is None or matches(options.to, each.target))
    ]
    if len(found) == 1:
        return found[0]
    asked = " ".join(f"{name} {value}" for name, value in (("--from", options.source), ("--to", options.to)) if value)
    what = f"does not translate {asked}" if not found else "has several directions: choose one with --from and --to"
    raise DocumentError(f"the model {what}; it translates {', '.join(map(' to '.join, every))}")


def _translate(loaded: loading.Loaded, options: "DocumentOptions") -> "Translate":
    translator = loaded.translator
    target = options.direction.target if len(translator.languages.targets) > 1 else None
    return lambda texts: translator.translate(texts, language=target)


def _identity(loaded: loading.Loaded, direction: "Direction") -> dict[str, str]:
    """What the translations depend on."""
    from seqloom.files import hashes_of

    files = json.dumps([hashes_of(folder) for folder in loaded.folders])
    return {
        "direction": str(direction),
        "model": hashlib.sha256(files.encode()).hexdigest(),
        "search": loaded.translator.search.model_dump_json(),
    }


class _Meter:
    """Shows progress on standard error: one line in a terminal, else a line now and then."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._task, self._start, self._told, self._first, self._width = "", 0.0, time.monotonic(), 0, 0

    def listen(self, progress: Progress) -> None:
        """Show a report of `Journal.translating`."""
        now = time.monotonic()
        if progress.task != self._task:
            self._task, self._start, self._first = progress.task, now, progress.done
        left = (progress.total or 0) - progress.done
        if not self._terminal and (now - self._told < _INTERVAL or not left):
            return
        self._told = now
        text = f"{printable(progress.task)}: {progress.done:,} of {progress.total or 0:,} {progress.unit}"
        if progress.done > self._first and left:
            seconds = (now - self._start) / (progress.done - self._first) * left
            text += f", about {_duration(seconds)} left"
        if self._terminal:
            print(f"\r{text:<{self._width}}", end="", file=sys.stderr, flush=True)
            self._width = len(text)
        else:
            _say(text)

    def end(self) -> None:
        """Clear the line in a terminal."""
        if self._width:
            print(f"\r{'':<{self._width}}\r", end="", file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _tell(outcome: "Outcome", ignored: int) -> None:
    from seqloom.documents.report import report_table

    if outcome.finished:
        _say(f"finished before the last run stopped, and not translated again: {outcome.finished:,}")
    if ignored:
        _say(f"files left out because their names suggest no format: {ignored:,}")
    if outcome.reports:
        print("\n".join(report_table(outcome.reports)), file=sys.stderr)
    for report in outcome.reports:
        for line in (*_left(report), *report.notices):
            _say(f"{report.name}: {line}")


def _left(report: "DocumentReport") -> list[str]:
    lines = []
    for reason, count in report.reasons.items():
        places = [str(each.line) for each in report.left if each.reason == reason]
        more = ", ..." if count > _MOST_EXAMPLES else ""
        lines.append(f"{count:,} left, {reason}: line {', '.join(places[:_MOST_EXAMPLES])}{more}")
    return lines


def _write_report(path: Path, outcome: "Outcome", model: str, direction: "Direction") -> None:
    from seqloom.files import write_json

    documents = [report.record() for report in outcome.reports]
    content = {"model": model, "direction": str(direction), "documents": documents, "errors": outcome.faults}
    write_json(path, content)


def _say(text: str) -> None:
    print(f"seqloom: {printable(text)}", file=sys.stderr, flush=True)
