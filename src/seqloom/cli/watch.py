"""`seqloom watch`: has a source of params.yaml something new?"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from seqloom import exits
from seqloom.cli.naming import PARAMS
from seqloom.cli.table import table
from seqloom.json_output import SourceRecord, WatchOutput

if TYPE_CHECKING:
    from seqloom.corpus.watching.news import News

NAME = "watch"
HELP = "see whether the sources of params.yaml have something new"
DESCRIPTION = """\
Ask each source of params.yaml, cheaply, whether it has something new: an address by its headers, files by their
hashes, a package for the newest version that its `watch` allows, a Git repository for the commit of its `branch`.
Exit status 0 whatever was found; 75 where a source cannot be reached and another try may help, 1 where one is wrong.
"""
EPILOG = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--json", action="store_true", help="for programs: an object with a list of sources")
    parser.add_argument(
        "--pin", action="store_true", help="write what was found into params.yaml, all of it or, on a fault, nothing"
    )


def run(options: argparse.Namespace) -> None:
    """Ask, print what was found, and pin it where that is wanted."""
    from seqloom.corpus.sources.depot import MIRROR_VARIABLE, Depot
    from seqloom.corpus.watching.news import Memory
    from seqloom.corpus.watching.sources import ask, pins
    from seqloom.editing import change
    from seqloom.errors import OfflineError, SourceError
    from seqloom.files import write_text
    from seqloom.params import load_params
    from seqloom.places import RAW, SCRATCH
    from seqloom.progress import ignore

    params = load_params(PARAMS)
    mirror = os.environ.get(MIRROR_VARIABLE)
    depot = Depot(SCRATCH / "downloads", Path(mirror).expanduser() if mirror else None)
    news, faults = ask(params.corpora, params.languages, depot, Memory(SCRATCH / "watch.json"), RAW / "manifest.json")
    pinned: dict[str, dict[str, object]] = {}
    if options.pin and not faults:
        try:
            pinned = pins(news, params.corpora, depot, ignore)
        except SourceError as fault:
            faults.append(fault)
    if pinned:
        wanted = {f"corpora.{corpus}.{key}": value for corpus, pin in pinned.items() for key, value in pin.items()}
        write_text(PARAMS, change(PARAMS.read_text(encoding="utf-8"), wanted).text)
    if options.json:
        changed = any(each.changed for each in news)
        output = WatchOutput(sources=[_record(each) for each in news], changed=changed, pinned=list(pinned))
        print(json.dumps(output, indent=2, ensure_ascii=False))
    else:
        print(_table(news, list(pinned)))
    if faults:
        sys.stdout.flush()
        for each in faults:
            print(f"seqloom: error: {each}", file=sys.stderr)
        sys.exit(exits.TRY_LATER if all(isinstance(each, OfflineError) for each in faults) else exits.FAILED)


def _record(news: "News") -> SourceRecord:
    return SourceRecord(
        corpus=news.corpus,
        kind=news.kind,
        changed=news.changed,
        known=news.known,
        found=news.found,
        why=news.why,
    )


def _table(news: "list[News]", pinned: list[str]) -> str:
    rows = [
        (each.corpus, each.kind, "new" if each.changed else "-", _short(each.known), _short(each.found), each.why)
        for each in news
    ]
    rows.insert(0, ("corpus", "kind", "news", "known", "found", "why"))
    return "\n".join([*table(rows), *(f"pinned: {', '.join(pinned)}" for _ in pinned[:1])])


def _short(text: str | None) -> str:
    return "-" if text is None else text[:12] if len(text) >= 40 else text
