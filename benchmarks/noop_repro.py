"""Measure `dvc repro` with nothing to do, beside an empty pipeline of the same shape.

    python -m benchmarks.noop_repro --pairs 15

It needs a clone with a finished run. The empty pipeline is made in a temporary folder. It has the same stages and the
same edges between them; each stage has one output and one dependency of its own, files of a few bytes, and no params.
The difference is therefore the cost of our modules, data folders, params and dvc.lock on top of DVC's own start.

The two run alternately. The output is one line of JSON:

- seconds, empty_seconds: medians of the wall time; cpu_seconds, empty_cpu_seconds: medians of the CPU time, which
  depends less on the load of the machine.
- ratio, cpu_ratio: the medians of the ratios of each pair.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[1]
_DONE = "Data and pipelines are up to date."


class Taken(NamedTuple):
    """The time of one `dvc repro`, in seconds."""

    wall: float
    cpu: float


def edges(stages: dict[str, Any]) -> dict[str, list[str]]:
    """Return for each stage of a dvc.yaml the stages whose outputs it reads."""
    made = {
        path: name
        for name, stage in stages.items()
        for key in ("outs", "metrics", "plots")
        for path in _paths(stage, key)
    }
    return {
        name: sorted({made[path] for path in _paths(stage, "deps") if path in made}) for name, stage in stages.items()
    }


def make_empty(folder: Path, before: dict[str, list[str]]) -> None:
    """Create and run a pipeline of these stages in `folder`, a separate DVC repository."""
    stages = {}
    for name, others in before.items():
        (folder / f"{name}.in").write_text(name, encoding="utf-8")
        deps = [f"{name}.in", *(f"{other}.out" for other in others)]
        stages[name] = {"cmd": f"cp {name}.in {name}.out", "deps": deps, "outs": [f"{name}.out"]}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False), encoding="utf-8")
    shutil.copy(ROOT / ".dvc" / "config", folder)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    dvc(folder, "init", "--quiet")
    shutil.move(folder / "config", folder / ".dvc" / "config")
    dvc(folder, "repro", "--quiet")


def measure(folder: Path) -> Taken:
    """Time one `dvc repro`, which must have nothing to do."""
    began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    said = dvc(folder, "repro")
    wall, now = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if _DONE not in said:
        sys.exit(f"error: {folder}: `dvc repro` had something to do; run it until it says {_DONE!r}, then measure")
    return Taken(wall, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime)


def dvc(folder: Path, *words: str) -> str:
    """Run a DVC command and return its output. Byte code is written, or every start would compile DVC again."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "dvc", *words]
    done = subprocess.run(
        command, cwd=folder, env=environment | {"DVC_NO_ANALYTICS": "1"}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"error: {folder}: `dvc {' '.join(words)}` failed: {done.stderr.strip()}")
    return done.stdout


def main() -> None:
    """Measure in pairs and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=15, help="number of pairs of runs (default: 15)")
    parser.add_argument("--root", type=Path, default=ROOT, help="a clone with a finished run (default: this one)")
    options = parser.parse_args()
    if json.loads(dvc(options.root, "status", "--json")):
        sys.exit(f"error: {options.root}: the pipeline is not up to date; run `dvc repro` there first")
    stages = yaml.safe_load((options.root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    with tempfile.TemporaryDirectory(prefix="noop-repro-") as name:
        empty = Path(name)
        make_empty(empty, edges(stages))
        folders = (options.root, empty)
        for folder in folders:
            measure(folder)  # the first run fills caches
        pairs = []
        for number in range(options.pairs):
            taken = {folder: measure(folder) for folder in folders[:: 1 if number % 2 else -1]}
            pairs.append((taken[options.root], taken[empty]))
    print(json.dumps({"stages": len(stages), "pairs": options.pairs} | summary(pairs)))


def summary(pairs: list[tuple[Taken, Taken]]) -> dict[str, float]:
    """Return the medians over pairs of runs: of the clone and of the empty pipeline."""
    ours, theirs = zip(*pairs, strict=True)
    values = {
        "seconds": [each.wall for each in ours],
        "empty_seconds": [each.wall for each in theirs],
        "ratio": [our.wall / their.wall for our, their in pairs],
        "cpu_seconds": [each.cpu for each in ours],
        "empty_cpu_seconds": [each.cpu for each in theirs],
        "cpu_ratio": [our.cpu / their.cpu for our, their in pairs],
    }
    return {name: round(statistics.median(each), 2) for name, each in values.items()}


def _paths(stage: dict[str, Any], key: str) -> list[str]:
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in stage.get(key, [])]


if __name__ == "__main__":
    main()
