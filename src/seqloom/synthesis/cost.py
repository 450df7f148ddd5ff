"""What translating costs: measured on a sample before it starts, and on all texts afterwards."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from heapq import nsmallest
from pathlib import Path
from typing import NamedTuple

from seqloom.synthesis.translating import TranslateShard, read_rows, write_rows

SAMPLE = 256  # texts that are timed
_LARGE = 1_000_000


class Cost(NamedTuple):
    """The time that `texts` took or will take, in seconds, with a number of workers at work."""

    texts: int
    seconds: float
    workers: int

    @property
    def rate(self) -> float:
        """Texts per second of all workers."""
        return self.texts / max(self.seconds, 1e-9)

    def shown(self) -> str:
        """Return the rate, and time and worker hours per million texts."""
        seconds = _LARGE / self.rate
        hours = seconds * self.workers / 3600
        return f"{self.rate:,.0f} texts/s; a million take {_time(seconds)}, {hours:,.1f} worker hours"


def estimate(step: TranslateShard, shards: Sequence[Path], texts: int, workers: int) -> Cost:
    """Translate a sample, chosen by hash from all shards, and return what all texts will cost.

    The time to load the model is not counted: each worker loads it once. With several workers, the rate of one is
    multiplied, so that a machine whose memory is too slow for all of them is slower than estimated.
    """
    sample = nsmallest(SAMPLE, _every(shards), key=lambda row: blake2b(row[0].encode(), digest_size=8).digest())
    with tempfile.TemporaryDirectory() as name:
        shard = Path(name) / "sample.tsv"
        translate = step.start()
        write_rows(shard, sample[:1])
        translate(shard, Path(name))  # the first call compiles and allocates
        write_rows(shard, sample)
        began = time.perf_counter()
        translate(shard, Path(name))
        took = time.perf_counter() - began
    return Cost(texts, took / len(sample) / workers * texts, workers)


def _every(shards: Sequence[Path]) -> Iterator[tuple[str, str]]:
    for shard in shards:
        yield from read_rows(shard)


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
