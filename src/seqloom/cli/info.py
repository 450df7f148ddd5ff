"""`seqloom info`: list registered versions with their scores and data."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqloom.cli.model_names import PARAMS, default_model
from seqloom.table import table

if TYPE_CHECKING:
    from seqloom.tracking.versions import Interval, Version

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
    from seqloom.tracking.store import NothingRegisteredError, connect
    from seqloom.tracking.versions import parse, versions

    name = options.model or (default_model() if PARAMS.exists() else None)
    wanted = parse(name if name.startswith("models:") else f"models:/{name}") if name else None
    found: list[Version] = []
    try:
        store = connect(Path.cwd(), create=False)
        found = versions(store, wanted)
        output = (
            f"{_table(found)}\n\n{store.shown}" if found else f"no version of {name or 'any model'} in {store.shown}"
        )
    except NothingRegisteredError as error:
        output = str(error)
    if options.json:
        output = json.dumps({"versions": [_record(version) for version in found]}, indent=2, ensure_ascii=False)
    print(output)


def _record(version: "Version") -> dict[str, Any]:
    """Return a version as plain data, with its scores as objects."""
    return {name: value._asdict() if hasattr(value, "_asdict") else value for name, value in version._asdict().items()}


def _table(found: Sequence["Version"]) -> str:
    heads = ("model", "version", "aliases", "BLEU", "chrF", "TER", "ROUGE-L", "pairs", "data", "commit", "registered")
    return "\n".join(table([heads, *(_row(version) for version in found)]))


def _row(version: "Version") -> tuple[str, ...]:
    return (
        version.name,
        version.version,
        ", ".join(version.aliases) or "-",
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
