"""`seqloom watch`: check whether the sources in params.yaml have new data."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from seqloom import exits
from seqloom.cli.model_names import PARAMS
from seqloom.json_output import SourceRecord, WatchOutput
from seqloom.table import table

if TYPE_CHECKING:
    from seqloom.corpus.watching.status import SourceStatus

NAME = "watch"
HELP = "check whether the sources in params.yaml have new data"
DESCRIPTION = """\
Check whether each source in params.yaml has new data, without downloading it: a URL by its HTTP headers, files by their
hashes, a package by the newest version that its `watch` allows, a Git repository or a data set on the Hugging Face Hub
by the commit of its `branch`, a corpus of OPUS by the newest release in its catalogue. The exit status is 0 whether or
not there are new data, 75 if a source cannot be reached (a later attempt may succeed), and 1 for any other error.
"""
EPILOG = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments of the command."""
    parser.add_argument("--json", action="store_true", help="print JSON: an object with a list of sources")
    parser.add_argument(
        "--pin",
        action="store_true",
        help="write new versions and hashes into params.yaml, unless there is an error",
    )


def run(options: argparse.Namespace) -> None:
    """Check the sources, print the findings, and pin them if requested."""
    from seqloom.corpus.sources.download_cache import MIRROR_VARIABLE, DownloadCache
    from seqloom.corpus.watching.sources import check_sources, new_pins
    from seqloom.corpus.watching.status import ResponseCache
    from seqloom.editing import change
    from seqloom.errors import OfflineError, SourceError
    from seqloom.files import write_text
    from seqloom.params import load_params
    from seqloom.places import RAW, SCRATCH
    from seqloom.progress import ignore

    params = load_params(PARAMS)
    mirror = os.environ.get(MIRROR_VARIABLE)
    cache = DownloadCache(SCRATCH / "downloads", Path(mirror).expanduser() if mirror else None)
    sources = {**params.corpora, **params.monolingual}
    statuses, faults = check_sources(
        sources, params.languages, cache, ResponseCache(SCRATCH / "watch.json"), RAW / "manifest.json"
    )
    pinned: dict[str, dict[str, object]] = {}
    if options.pin and not faults:
        try:
            pinned = new_pins(statuses, sources, cache, ignore)
        except SourceError as fault:
            faults.append(fault)
    if pinned:
        wanted = {
            f"{'corpora' if corpus in params.corpora else 'monolingual'}.{corpus}.{key}": value
            for corpus, pin in pinned.items()
            for key, value in pin.items()
        }
        write_text(PARAMS, change(PARAMS.read_text(encoding="utf-8"), wanted).text)
    if options.json:
        changed = any(each.changed for each in statuses)
        output = WatchOutput(sources=[_record(each) for each in statuses], changed=changed, pinned=list(pinned))
        print(json.dumps(output, indent=2, ensure_ascii=False))
    else:
        print(_table(statuses, list(pinned)))
    if faults:
        sys.stdout.flush()
        for each in faults:
            print(f"seqloom: error: {each}", file=sys.stderr)
        sys.exit(exits.TRY_LATER if all(isinstance(each, OfflineError) for each in faults) else exits.FAILED)


def _record(status: "SourceStatus") -> SourceRecord:
    return SourceRecord(
        corpus=status.corpus,
        kind=status.kind,
        changed=status.changed,
        known=status.known,
        found=status.found,
        why=status.why,
    )


def _table(statuses: "list[SourceStatus]", pinned: list[str]) -> str:
    rows = [
        (each.corpus, each.kind, "new" if each.changed else "-", _short(each.known), _short(each.found), each.why)
        for each in statuses
    ]
    rows.insert(0, ("corpus", "kind", "state", "known", "found", "why"))
    return "\n".join([*table(rows), *(f"pinned: {', '.join(pinned)}" for _ in pinned[:1])])


def _short(text: str | None) -> str:
    return "-" if text is None else text[:12] if len(text) >= 40 else text
