"""`seqloom lineage`: show the provenance of a model."""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqloom.table import table

if TYPE_CHECKING:
    from seqloom.tracking.ancestry import Lineage

NAME = "lineage"
HELP = "show what a model was made from"
DESCRIPTION = """\
Show what a registered version, or the result of a run, was made from: commit, data, hashes, params, device, libraries,
flow run and costs, as recorded when it was registered.
"""
EPILOG = None
_JOULES_PER_WATT_HOUR = 3600


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments of the command."""
    parser.add_argument("model", metavar="MODEL", help="models:/NAME@ALIAS, models:/NAME/NUMBER or a run id")
    parser.add_argument("--json", action="store_true", help="print JSON: everything as one object")


def run(options: argparse.Namespace) -> None:
    """Print the lineage as text, or as JSON."""
    from seqloom.tracking.ancestry import lineage
    from seqloom.tracking.store import connect

    found = lineage(connect(Path.cwd(), create=False), options.model)
    if options.json:
        print(json.dumps(found._asdict(), indent=2, ensure_ascii=False))
    else:
        print("\n".join(_lines(found)))


def _lines(found: "Lineage") -> Iterator[str]:
    aliases = "".join(f" @{alias}" for alias in found.aliases)
    name = f"{found.model} version {found.version}{aliases}" if found.model else f"run {found.run_name}"
    state = {True: " with uncommitted changes", False: "", None: ""}[found.dirty]
    yield from _section(
        name,
        {
            "fingerprint": found.fingerprint,
            "commit": f"{found.commit}{state}" if found.commit else None,
            "run": f"{found.run_id} ({found.run_name}, {found.status})",
            "flow run": found.flow_run,
            "training": found.training,
            "device": found.device,
        },
    )
    yield from _section("test", {name.removeprefix("test/"): f"{value:.2f}" for name, value in found.metrics.items()})
    yield from _section("costs", _costs(found.costs))
    yield from _section("data", {name: _source(source) for name, source in found.sources.items()})
    yield from _section("inputs from outside the pipeline, with DVC's hashes", found.inputs)
    yield from _section("outputs, with DVC's hashes", found.artefacts)
    yield from _section("libraries", found.libraries)
    yield from _section("params", found.params)


def _section(title: str, facts: Mapping[str, Any]) -> Iterator[str]:
    if facts:
        yield title
        rows = [(name, "not recorded" if fact is None else str(fact)) for name, fact in facts.items()]
        yield from (f"  {line}" for line in table(rows))


def _source(source: Any) -> str:
    if not isinstance(source, Mapping):
        return str(source)
    return ", ".join(f"{name} {value}" for name, value in source.items() if value is not None and value != {})


def _costs(costs: Mapping[str, float]) -> dict[str, str]:
    if not costs:
        return {"training": "not recorded (the training journal was missing when the model was registered)"}
    costs_shown = {"training": f"{costs.get('seconds', 0):,.0f} s"}
    if (processes := costs.get("processes", 1)) > 1:
        costs_shown["training"] += f", in {processes:.0f} processes, one after another"
    if gpu := costs.get("gpu_seconds"):
        costs_shown["GPUs"] = f"{gpu:,.0f} GPU seconds"
    for name, joules in costs.items():
        if name.startswith("joules."):
            what = "GPUs" if name == "joules.gpu" else "CPU, including other processes"
            costs_shown[f"energy, {what}"] = f"{joules / _JOULES_PER_WATT_HOUR:,.2f} Wh"
    return costs_shown
