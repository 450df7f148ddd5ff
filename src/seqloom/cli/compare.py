"""`seqloom compare`: runs beside each other, with what is sure about their scores."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from seqloom.cli.table import table
from seqloom.files import write_text

if TYPE_CHECKING:
    from seqloom.evaluation.significance import Difference
    from seqloom.tracking.registry.comparison import Comparison

NAME = "compare"
HELP = "compare runs: scores with significance, params, texts"
DESCRIPTION = """\
Compare runs on the test set that they share: the scores with the paired bootstrap (Koehn 2004) against the first one,
the params that differ, and the segments whose translations differ most, side by side.
"""
EPILOG = "A p below 0.05 says that a difference as large would seldom be luck. Of TER, less is better.\n"
_SIGNIFICANT = 0.05


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("runs", metavar="RUN", nargs="+", help="models:/NAME@ALIAS, models:/NAME/NUMBER or id of a run")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write it as one page, too")
    parser.add_argument("--segments", type=int, default=5, metavar="N", help="that are shown here (default: 5)")


def run(options: argparse.Namespace) -> None:
    """Print the comparison, and write the page if one is asked for."""
    if len(options.runs) < 2:
        options.misused("name two runs at least")
    from seqloom.tracking.client.store import connect
    from seqloom.tracking.registry.comparison import compare_runs

    found = compare_runs(connect(Path.cwd(), create=False), options.runs, most=max(50, options.segments))
    print("\n".join(_told(found, options.segments)))
    if options.html is not None:
        from seqloom.tracking.registry.comparison_page import page

        write_text(options.html, page(found))
        print(f"\n{options.html}")


def _told(found: "Comparison", segments: int) -> Iterator[str]:
    from seqloom.evaluation.settings import TITLES

    titles = [run.title for run in found.runs]
    rows = [
        (TITLES[metric], f"{each[0].theirs:.2f}", *(_score(difference) for difference in each))
        for metric, each in found.scores.items()
    ]
    count = len(found.runs[0].segments.sources)
    yield from table([(f"{count:,} segments", *titles), *rows])
    if found.params:
        yield ""
        values = [(name, *("-" if v is None else v for v in each)) for name, each in found.params.items()]
        yield from table([("params that differ", *titles), *values])
    for index in found.furthest[:segments]:
        yield ""
        texts = found.runs[0].segments
        shown = [("source", "", texts.sources[index]), ("reference", "", texts.references[index])]
        shown += [(run.title, f"{run.chrf[index]:.1f}", run.segments.hypotheses[index]) for run in found.runs]
        yield from table(shown)


def _score(difference: "Difference") -> str:
    sure = "*" if difference.p < _SIGNIFICANT else ""
    low, high = f"{difference.low:+.2f}", f"{difference.high:+.2f}"
    return f"{difference.ours:.2f} ({difference.gain:+.2f} [{low}, {high}], p {difference.p:.3f}{sure})"
