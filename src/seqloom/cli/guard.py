"""`seqloom guard`: compare this folder's data with those of the last registered version."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqloom.cli.model_names import PARAMS, default_model
from seqloom.errors import CorpusError
from seqloom.table import table

if TYPE_CHECKING:
    from seqloom.corpus.guard import Finding
    from seqloom.tracking.baseline import Baseline

NAME = "guard"
HELP = "compare this folder's data with those of the last registered version"
DESCRIPTION = """\
Compare metrics/corpus.json, which prepare_corpus writes, with that of the last registered version, using the bounds in
section guard of params.yaml. The exit status is 0 if all numbers are within bounds, and 3 if one is not and somebody
has to check the data.
"""
EPILOG = """\
If the new data are correct, widen the bound that was exceeded (`seqloom set guard.max_pairs_growth=9`), or set it to
null to switch it off. After their model is registered, later data are compared with the new data.
"""

REFUSED = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments of the command."""
    parser.add_argument("--json", action="store_true", help="print JSON: an object with a list of findings")


def run(options: argparse.Namespace) -> None:
    """Print each number with its bounds, and exit with status 3 if one is outside."""
    from seqloom.corpus.guard import compare
    from seqloom.params import load_params
    from seqloom.stages.places import CORPUS_METRICS

    params, now = load_params(PARAMS), _read(CORPUS_METRICS)
    baseline = _baseline()
    findings = compare(now, baseline.corpus, params.guard) if baseline is not None else []
    ok = all(finding.ok for finding in findings)
    if options.json:
        version = None if baseline is None else baseline.version
        record = {"ok": ok, "baseline": version, "findings": [finding.record() for finding in findings]}
        print(json.dumps(record, indent=2, ensure_ascii=False))
    elif baseline is None:
        print("no version is registered yet, so there is nothing to compare the data with")
    else:
        refused = sum(not finding.ok for finding in findings)
        print(f"{_table(findings)}\n\n{len(findings)} numbers against {baseline.version}, {refused} out of bounds")
    if not ok:
        sys.stdout.flush()
        sys.exit(REFUSED)


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
        raise CorpusError(f"{path}: file not found: run `dvc repro prepare_corpus`") from error
    except ValueError as error:
        raise CorpusError(f"{path}: not valid JSON ({error}): run `dvc repro prepare_corpus --force`") from error
    if not isinstance(content, dict):
        raise CorpusError(f"{path}: must be a JSON object: run `dvc repro prepare_corpus --force`")
    return content


def _table(findings: "list[Finding]") -> str:
    rows: list[tuple[str, ...]] = [("", "number", "now", "before", "from", "to")]
    rows += [
        ("-" if each.ok else "REFUSED", each.what, *map(_number, (each.now, each.before, each.low, each.high)))
        for each in findings
    ]
    return "\n".join(table(rows, right=range(2, len(rows[0]))))


def _number(number: float | None) -> str:
    return "-" if number is None else f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"
