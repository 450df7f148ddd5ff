"""`seqloom guard`: are the data of this folder like those of the last registered version?"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqloom import exits
from seqloom.cli.naming import PARAMS, default_model
from seqloom.cli.table import table
from seqloom.errors import CorpusError
from seqloom.json_output import FindingRecord, GuardOutput

if TYPE_CHECKING:
    from seqloom.corpus.guard import Finding
    from seqloom.tracking.baseline import Baseline

NAME = "guard"
HELP = "compare the data of this folder with those of the last registered version"
DESCRIPTION = """\
Compare metrics/corpus.json, which prepare_corpus writes, with that of the last registered version, within the bounds of
the section guard of params.yaml. Exit status 0 where all numbers are within, 3 where one is not: a person has to look.
"""
EPILOG = """\
Where the new data are right, widen the bound that refused (`seqloom set guard.max_pairs_growth=9`), or switch it off
with null; once their model is registered, it is what the next data are compared with.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--json", action="store_true", help="for programs: an object with a list of findings")


def run(options: argparse.Namespace) -> None:
    """Print each number beside its bounds, and leave with 3 where one is outside."""
    from seqloom.corpus.guard import compare
    from seqloom.params import load_params
    from seqloom.places import CORPUS_METRICS

    params, now = load_params(PARAMS), _read(CORPUS_METRICS)
    baseline = _baseline()
    findings = compare(now, baseline.corpus, params.guard) if baseline is not None else []
    ok = all(finding.ok for finding in findings)
    if options.json:
        version = None if baseline is None else baseline.version
        output = GuardOutput(ok=ok, baseline=version, findings=[_record(finding) for finding in findings])
        print(json.dumps(output, indent=2, ensure_ascii=False))
    elif baseline is None:
        print("nothing is registered yet that the data could be compared with")
    else:
        refused = sum(not finding.ok for finding in findings)
        print(f"{_table(findings)}\n\n{len(findings)} numbers beside {baseline.version}, {refused} outside its bounds")
    if not ok:
        sys.stdout.flush()
        sys.exit(exits.REFUSED)


def _baseline() -> "Baseline | None":
    from seqloom.tracking.baseline import last_registered
    from seqloom.tracking.store import NothingRegisteredError, connect

    try:
        return last_registered(connect(Path.cwd(), create=False), default_model())
    except NothingRegisteredError:
        return None


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CorpusError(f"{path} is not there: run the stage prepare_corpus (`dvc repro prepare_corpus`)") from error
    except ValueError as error:
        raise CorpusError(f"{path}: is not JSON ({error}): run the stage prepare_corpus again") from error
    if not isinstance(content, dict):
        raise CorpusError(f"{path}: is not what prepare_corpus writes: run it again")
    return content


def _record(finding: "Finding") -> FindingRecord:
    return FindingRecord(
        what=finding.what,
        now=finding.now,
        before=finding.before,
        low=finding.low,
        high=finding.high,
        ok=finding.ok,
    )


def _table(findings: "list[Finding]") -> str:
    rows: list[tuple[str, ...]] = [("", "number", "now", "before", "from", "to")]
    rows += [
        ("-" if each.ok else "REFUSED", each.what, *map(_number, (each.now, each.before, each.low, each.high)))
        for each in findings
    ]
    return "\n".join(table(rows, right=range(2, len(rows[0]))))


def _number(number: float | None) -> str:
    return "-" if number is None else f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"
