"""Measure a map over shards: the rate with one and two local workers, and how long each launcher takes to start.

    python -m benchmarks.map_shards --shards 8 --rows 20000

The step encodes pairs with the tokenizer of a model folder (`--model`, by default models/candidate). The time to start
is that of a map that does nothing: processes, imports, and for Ray a cluster on this machine. SLURM is represented by
submitit's processes on this machine, without a queue.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from seqloom.corpus.splits import Pair, write_shards_of
from seqloom.files import hashes_of
from seqloom.languages import Direction
from seqloom.progress import ignore
from seqloom.sharding.local import LocalLauncher
from seqloom.sharding.manifest import describe_shard, shard_name
from seqloom.sharding.mapping import Launcher, map_shards
from seqloom.sharding.ray import RayLauncher
from seqloom.sharding.settings import WorkerSettings
from seqloom.sharding.slurm import SlurmLauncher
from seqloom.sharding.step import Function, Input, input_of
from seqloom.stages.encoding.shards import EncodeShard

TEXT = "Press the {button} of device number {number} to switch the light in the living room on or off again"
SETTINGS = WorkerSettings(count=2)
LAUNCHERS: dict[str, Callable[[], Launcher]] = {
    "local": lambda: LocalLauncher(2),
    "slurm (on this machine)": lambda: SlurmLauncher(SETTINGS, "local", look=0.1),
    "ray (first map)": lambda: RayLauncher(SETTINGS),
    "ray (second map)": lambda: RayLauncher(SETTINGS),
}


@dataclass(frozen=True)
class Nothing:
    """Does nothing."""

    name = "do nothing"

    def identity(self) -> dict[str, str]:
        """Return nothing."""
        return {}

    def start(self) -> Function:
        """Return a function that writes nothing."""
        return lambda shard, folder: 0


def make_shards(folder: Path, shards: int, rows: int) -> list[Input]:
    """Write shards of pairs whose numbers differ."""
    entries = []
    for number in range(shards):
        path = folder / shard_name(number, "parquet")
        texts = [TEXT.replace("{number}", str(number * rows + row)) for row in range(rows)]
        pairs = [Pair(text, text, "en-de", "c", "")._asdict() for text in texts]
        pq.write_table(pa.Table.from_pylist(pairs), path, compression="zstd")
        entries.append(describe_shard(path, rows))
    write_shards_of(folder, entries)
    return [input_of(folder / entry.name) for entry in entries]


def measure(options: argparse.Namespace, folder: Path) -> None:
    """Print the figures."""
    inputs = make_shards(folder, options.shards, options.rows)
    step = EncodeShard(options.model / "tokenizer", (Direction("en", "de"),), 256)
    rates, results = [], []
    for workers in (1, 2):
        into = folder / f"by{workers}"
        map_shards(step, inputs[:workers], folder / f"warm{workers}", LocalLauncher(workers), ignore)
        began = time.perf_counter()
        map_shards(step, inputs, into, LocalLauncher(workers), ignore)
        rates.append(options.shards * options.rows / (time.perf_counter() - began))
        results.append(hashes_of(into))
        print(f"{workers} local workers: {rates[-1]:,.0f} pairs/s, with starting")
    print(f"scaling: {rates[1] / rates[0]:.2f}; same bytes: {results[0] == results[1]}")
    for name, make in LAUNCHERS.items():
        began = time.perf_counter()
        map_shards(Nothing(), inputs[:1], folder / "started" / name, make(), ignore)
        print(f"{name}: {time.perf_counter() - began:.1f} s for a map that does nothing")


def main() -> None:
    """Read the options, and measure in a temporary folder."""
    parser = argparse.ArgumentParser(description="Measure a map over shards.")
    parser.add_argument("--model", type=Path, default=Path("models/candidate"))
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--rows", type=int, default=20_000)
    with tempfile.TemporaryDirectory() as folder:
        measure(parser.parse_args(), Path(folder))


if __name__ == "__main__":
    main()
