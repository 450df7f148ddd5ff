"""`seqloom compare`: compare runs side by side, with significance tests."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from seqloom.table import table

if TYPE_CHECKING:
    from seqloom.evaluation.significance import Difference
    from seqloom.tracking.comparison import Comparison

NAME = "compare"
HELP = "compare runs: scores with significance, params, translations"
DESCRIPTION = """\
Compare runs on their common test set: scores with a paired bootstrap test (Koehn 2004) against the first run, the
params that differ, and the segments whose translations differ most, side by side.
"""
EPILOG = "A difference with p below 0.05 is marked * and is unlikely to be chance. For TER, lower is better.\n"
_ALPHA = 0.05


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments of the command."""
    parser.add_argument("runs", metavar="RUN", nargs="+", help="models:/NAME@ALIAS, models:/NAME/NUMBER or a run id")
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write the comparison as an HTML page")
    parser.add_argument("--segments", type=int, default=5, metavar="N", help="segments to print (default: 5)")


def run(options: argparse.Namespace) -> None:
    """Print the comparison, and write the page if requested."""
    if len(options.runs) < 2:
        options.usage_error("give at least two runs")
    from seqloom.tracking.comparison import compare_runs
    from seqloom.tracking.store import connect

    found = compare_runs(connect(Path.cwd(), create=False), options.runs, most=max(50, options.segments))
    print("\n".join(_lines(found, options.segments)))
    if options.html is not None:
        from seqloom.tracking.comparison_page import page

        beside = options.html.with_name(f".{options.html.name}.part")
        beside.write_text(page(found), encoding="utf-8")
        beside.replace(options.html)
        print(f"\n{options.html}")


def _lines(found: "Comparison", segments: int) -> Iterator[str]:
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
    sure = "*" if difference.p < _ALPHA else ""
    low, high = f"{difference.low:+.2f}", f"{difference.high:+.2f}"
    return f"{difference.ours:.2f} ({difference.gain:+.2f} [{low}, {high}], p {difference.p:.3f}{sure})"
