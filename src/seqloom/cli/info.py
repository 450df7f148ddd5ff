"""`seqloom info`: list registered versions with their scores and data."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seqloom.cli.model_names import PARAMS, default_model
from seqloom.json_output import InfoOutput, ScoreRecord, VersionRecord
from seqloom.table import table

if TYPE_CHECKING:
    from seqloom.tracking.registry.versions import Interval, Version

NAME = "info"
HELP = "list registered versions"
DESCRIPTION = "List registered versions with their scores (95% intervals), training data and Git commit."
EPILOG = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments of the command."""
    parser.add_argument(
        "--model", metavar="NAME", help="a model (seqloom-en-de) or a version (models:/seqloom-en-de@champion)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON: an object with a list of versions")


def run(options: argparse.Namespace) -> None:
    """Print the versions as a table, or as JSON."""
    from seqloom.tracking.client.store import NothingRegisteredError, connect
    from seqloom.tracking.registry.versions import list_versions, parse_reference

    name = options.model or (default_model() if PARAMS.exists() else None)
    wanted = parse_reference(name if name.startswith("models:") else f"models:/{name}") if name else None
    found: list[Version] = []
    try:
        store = connect(Path.cwd(), create=False)
        found = list_versions(store, wanted)
        output = (
            f"{_table(found)}\n\n{store.shown}" if found else f"no version of {name or 'any model'} in {store.shown}"
        )
    except NothingRegisteredError as error:
        output = str(error)
    if options.json:
        record = InfoOutput(versions=[_record(version) for version in found])
        output = json.dumps(record, indent=2, ensure_ascii=False)
    print(output)


def _record(version: "Version") -> VersionRecord:
    return VersionRecord(
        name=version.name,
        version=version.version,
        aliases=list(version.aliases),
        fingerprint=version.fingerprint,
        run_id=version.run_id,
        created=version.created,
        direction=version.direction,
        bleu=_score_record(version.bleu),
        chrf=_score_record(version.chrf),
        ter=_score_record(version.ter),
        pairs=version.pairs,
        corpora=version.corpora,
        test_sha256=version.test_sha256,
        commit=version.commit,
        verdict=version.verdict,
        task=version.task,
        family=version.family,
        rouge_l=_score_record(version.rouge_l),
    )


def _score_record(score: "Interval | None") -> ScoreRecord | None:
    return None if score is None else ScoreRecord(score=score.score, low=score.low, high=score.high)


def _table(found: Sequence["Version"]) -> str:
    heads = ("model", "version", "aliases", "BLEU", "chrF", "TER", "ROUGE-L", "pairs", "data", "commit", "registered")
    return "\n".join(table([heads, *(_row(version) for version in found)]))


def _row(version: "Version") -> tuple[str, ...]:
    return (
        version.name,
        version.version,
        ", ".join(version.aliases) or ("files removed" if version.removed else "-"),
        *(_score(score) for score in (version.bleu, version.chrf, version.ter, version.rouge_l)),
        "-" if version.pairs is None else f"{version.pairs:,}",
        version.corpora or "-",
        (version.commit or "-")[:8],
        version.created[:16].replace("T", " "),
    )


def _score(score: "Interval | None") -> str:
    if score is None:
        return "-"
    return f"{score.score:.1f}" + ("" if score.low is None else f" [{score.low:.1f}, {score.high:.1f}]")
