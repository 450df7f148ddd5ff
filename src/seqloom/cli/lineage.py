"""`seqloom lineage`: where a model comes from."""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seqloom.tracking.registry.lineage import Lineage

NAME = "lineage"
HELP = "show where a model comes from"
DESCRIPTION = """\
Show where a registered version, or the result of a run, comes from: commit, data, hashes, params, device, libraries,
flow run and costs, as they were recorded when it was registered.
"""
EPILOG = None
_JOULES_PER_WATT_HOUR = 3600


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("model", metavar="MODEL", help="models:/NAME@ALIAS, models:/NAME/NUMBER or the id of a run")
    parser.add_argument("--json", action="store_true", help="for programs: all of it as one object")


def run(options: argparse.Namespace) -> None:
    """Print the lineage as text, or as JSON."""
    from seqloom.tracking.client.store import connect
    from seqloom.tracking.registry.lineage import read_lineage

    found = read_lineage(connect(Path.cwd(), create=False), options.model)
    if options.json:
        print(json.dumps(found._asdict(), indent=2, ensure_ascii=False))
    else:
        print("\n".join(_told(found)))


def _told(found: "Lineage") -> Iterator[str]:
    aliases = "".join(f" @{alias}" for alias in found.aliases)
    name = f"{found.model} version {found.version}{aliases}" if found.model else f"run {found.run_name}"
    state = {True: " and changes that are in no commit", False: "", None: ""}[found.dirty]
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
    yield from _section("what came from outside, as DVC hashes it", found.inputs)
    yield from _section("what was made of it", found.artefacts)
    yield from _section("libraries", found.libraries)
    yield from _section("params", found.params)


def _section(title: str, facts: Mapping[str, Any]) -> Iterator[str]:
    width = max(map(len, facts), default=0)
    if facts:
        yield f"{title}"
        yield from (f"  {name:<{width}}  {'not recorded' if fact is None else fact}" for name, fact in facts.items())


def _source(source: Any) -> str:
    if not isinstance(source, Mapping):
        return str(source)
    return ", ".join(f"{name} {value}" for name, value in source.items() if value is not None and value != {})


def _costs(costs: Mapping[str, float]) -> dict[str, str]:
    if not costs:
        return {"training": "not recorded (the journal of the training was not there when it was registered)"}
    told = {"training": f"{costs.get('seconds', 0):,.0f} s"}
    if (processes := costs.get("processes", 1)) > 1:
        told["training"] += f", by {processes:.0f} processes one after the other"
    if gpu := costs.get("gpu_seconds"):
        told["GPUs"] = f"{gpu:,.0f} GPU seconds"
    for name, joules in costs.items():
        if name.startswith("joules."):
            what = "GPUs" if name == "joules.gpu" else "CPU, with all that ran on it"
            told[f"energy, {what}"] = f"{joules / _JOULES_PER_WATT_HOUR:,.2f} Wh"
    return told
