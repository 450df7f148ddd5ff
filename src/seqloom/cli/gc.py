"""`seqloom gc`: free space that nothing needs any more."""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqloom.errors import SeqloomError
from seqloom.places import SCRATCH, TRAINING_METRICS
from seqloom.table import table

if TYPE_CHECKING:
    from seqloom.retention.policy import Found, Policy
    from seqloom.tracking.client.store import Store

NAME = "gc"
HELP = "free space: old checkpoints, downloads, files of refused or superseded versions"
DESCRIPTION = """\
Show what nothing needs any more, why, and how many bytes it has; remove it with --yes.

trainings   checkpoints and journals of runs in scratch. A run that the present inputs could resume is kept.
downloads   downloaded sources that no pin in params.yaml names
shards      results of single shards in scratch
reproduced  models of `seqloom reproduce`
versions    model files of registered versions that were refused or superseded; their records and metrics stay. A
            version is kept if an alias, a rollback, another version's lineage, a pin in params.yaml (of any branch) or
            a running server needs it.
copies      this user's copies of such versions
dvc         DVC's local cache: what no commit and no registered version needs; only if asked for with --dvc

What is younger than --days is kept, and so are the newest --keep of each kind. --yes stops if a flow or a DVC command
is working in this folder; a flow that starts meanwhile ends as busy. Killed, it continues when it is called again.
"""
EPILOG = """\
examples:
  seqloom gc                              show what would be removed
  seqloom gc --yes --days 14              remove it
  seqloom gc --only versions --kept       show also which versions are kept, and why
  seqloom gc --dvc --yes                  remove from DVC's cache, too
"""
PLACES = ("trainings", "downloads", "shards", "reproduced", "versions", "copies")
_SHARED = {"versions", "copies"}  # these are not files of the clone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments of the command."""
    add = parser.add_argument
    add("--yes", action="store_true", help="remove what is shown")
    add("--keep", type=_count, default=3, metavar="N", help="keep the newest N of each kind (default: 3)")
    add("--days", type=_days, default=30.0, metavar="DAYS", help="keep what is younger (default: 30)")
    add("--only", choices=PLACES, action="append", help="look only here; may be repeated")
    add("--kept", action="store_true", help="show also what is kept, and why")
    help_text = "clean DVC's local cache, too; with a date (yyyy-mm-dd), older commits do not count"
    add("--dvc", nargs="?", const="", type=_date, metavar="DATE", help=help_text)


def run(options: argparse.Namespace) -> None:
    """Show what is not needed, and remove it if asked to."""
    from seqloom.retention.clone import held_clone
    from seqloom.retention.policy import Policy, shown

    places = set(options.only or PLACES)
    local = bool(places - _SHARED) or options.dvc is not None
    with ExitStack() as stack:
        if options.yes and local:
            stack.enter_context(held_clone(Path.cwd()))
        found = _search(Policy(options.keep, options.days), places, options.dvc)
        print("\n".join(_lines(found, kept=options.kept)))
        total = sum(each.bytes for each in found.removals)
        if not options.yes:
            if found.removals:
                print(f"\n{shown(total)} can be freed; `seqloom gc --yes` with the same options removes it")
            return
        for each in found.removals:
            each.remove()
        print(f"\nremoved: {shown(total)}")


def _search(policy: "Policy", places: set[str], dvc: str | None) -> "Found":
    from seqloom.retention.policy import Found

    found = Found([], [])
    for search in _searches(policy, places, dvc):
        found += search()
    return found


def _searches(policy: "Policy", places: set[str], dvc: str | None) -> "Iterator[Callable[[], Found]]":
    from seqloom.retention import leftovers
    from seqloom.retention.pins import pinned_text

    root = Path.cwd()
    store, pins = _store(root), pinned_text(root)
    if "trainings" in places:
        yield lambda: _trainings(store, policy)
    if "downloads" in places:
        yield lambda: leftovers.find_downloads(SCRATCH, policy, pins)
    if "shards" in places:
        yield lambda: leftovers.find_shards(SCRATCH, policy)
    if "reproduced" in places:
        yield lambda: leftovers.find_reproduced(SCRATCH, policy)
    if places - _SHARED:
        yield lambda: leftovers.find_interrupted(SCRATCH, [".", "downloads", "reproduced"])
    if store is not None:
        from seqloom.tracking.registry import removal

        if "versions" in places:
            yield lambda: removal.find_versions(store, policy, pins)
        if "copies" in places:
            yield lambda: removal.find_copies(store, policy, pins)
    if dvc is not None:
        yield lambda: _dvc_objects(root, store, dvc or None)


def _store(root: Path) -> "Store | None":
    from seqloom.tracking.client.store import NothingRegisteredError, connect

    try:
        return connect(root, create=False)
    except NothingRegisteredError:
        return None


def _trainings(store: "Store | None", policy: "Policy") -> "Found":
    from seqloom.retention.trainings import Known, find_trainings
    from seqloom.tracking.sync.sending import registered_trainings, was_sent

    registered = set() if store is None else registered_trainings(store)

    def sent(folder: Path) -> bool:
        return folder.name in registered or was_sent(folder)

    return find_trainings(SCRATCH, policy, Known(_present_training(), _result(), sent))


def _result() -> str | None:
    try:
        return str(json.loads(TRAINING_METRICS.read_text(encoding="utf-8"))["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _present_training() -> "Mapping[str, Any] | None":
    """Return the identity of the training that the present inputs would start; None if they are incomplete."""
    from seqloom.params import load_params
    from seqloom.stages.training.identity import identify
    from seqloom.training.device import place

    try:
        params = load_params()
        return identify(params, place(params.train))
    except (OSError, SeqloomError):
        return None


def _dvc_objects(root: Path, store: "Store | None", since: str | None) -> "Found":
    from seqloom.retention.dvc_cache import find_dvc_objects
    from seqloom.tracking.registry.needed import needed_results

    return find_dvc_objects(root, {} if store is None else needed_results(store), since)


def _lines(found: "Found", *, kept: bool) -> Iterator[str]:
    from seqloom.retention.policy import shown

    if found.removals:
        heads = ("place", "what", "bytes", "why it is not needed")
        rows = [(each.place, each.name, shown(each.bytes), each.why) for each in found.removals]
        yield from table([heads, *rows], right={2})
    else:
        yield "nothing to remove"
    if kept and found.kept:
        yield ""
        yield from table([("place", "kept", "why"), *found.kept])


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = -1.0
    if not 0 <= days < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days")
    return days


def _date(text: str) -> str:
    try:
        return text and date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date such as 2026-06-30") from error
