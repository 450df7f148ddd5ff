"""Workers and the process that started them are killed at random moments; the results stay the same, byte for byte."""

import hashlib
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from seqloom.files import hashes_of
from seqloom.progress import ignore
from seqloom.sharding.local import LocalLauncher
from seqloom.sharding.mapping import map_shards
from seqloom.sharding.step import Function, Input, input_of
from tests.forked import Forked

SHARDS, KILLS = 8, 3


@dataclass(frozen=True)
class Chain:
    """Writes a chain of hashes, in two files, which takes some hundredths of a second."""

    name = "hash"

    def identity(self) -> dict[str, str]:
        return {}

    def start(self) -> Function:
        def write(shard: Path, folder: Path) -> int:
            link = shard.read_bytes()
            for name in ("first", "second"):
                with (folder / name).open("wb") as file:
                    for _ in range(20_000):
                        link = hashlib.sha256(link).digest()
                        file.write(link)
            return 40_000

        return write


@pytest.fixture
def inputs(tmp_path: Path) -> list[Input]:
    paths = [tmp_path / f"in{number}" for number in range(SHARDS)]
    for path in paths:
        path.write_text(path.name)
    return list(map(input_of, paths))


def family(process: int) -> Iterator[psutil.Process]:
    """Yield the process and its workers."""
    parent = psutil.Process(process)
    yield parent
    yield from (child for child in parent.children() if "spawn_main" in " ".join(child.cmdline()))


def map_with_kills(inputs: list[Input], into: Path, draw: random.Random) -> int:
    """Run the map in another process, and kill it or a worker again and again; return how often it was started."""
    starts, kills = 0, 0
    while True:
        starts += 1
        running = Forked(lambda: map_shards(Chain(), inputs, into, LocalLauncher(2), ignore))
        while kills < KILLS:
            time.sleep(draw.uniform(0.05, 1.0))
            try:
                victim = draw.choice(list(family(running.pid)))
                alone = victim.pid == running.pid
                victim.kill()
                kills += 1
            except psutil.Error:  # it has ended
                break
            if alone:
                break
        running.communicate()
        if running.returncode == 0:
            return starts


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=pytest.mark.drill if seed else pytest.mark.slow) for seed in range(20)]
)
def test_kills_do_not_change_the_results(inputs: list[Input], tmp_path: Path, seed: int) -> None:
    map_shards(Chain(), inputs, tmp_path / "expected", LocalLauncher(1), ignore)
    map_with_kills(inputs, tmp_path / "out", random.Random(seed))
    assert hashes_of(tmp_path / "out") == hashes_of(tmp_path / "expected")
