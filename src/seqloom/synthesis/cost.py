"""What translating costs: measured on a sample before it starts, and on all texts afterwards."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from heapq import nsmallest
from pathlib import Path
from typing import NamedTuple

from seqloom.synthesis.translating import TranslateTexts, read_rows, write_rows

SAMPLE = 256  # texts that are timed
_LARGE = 1_000_000


class Cost(NamedTuple):
    """The time that some texts took, in seconds."""

    texts: int
    seconds: float

    def of(self, texts: int) -> str:
        """Return the time that so many texts take at this rate, such as `12 min`."""
        return _time(self.seconds / self.texts * texts)

    def shown(self) -> str:
        """Return the rate, and the time per million texts."""
        return f"{self.texts / max(self.seconds, 1e-9):,.0f} texts/s; a million take {self.of(_LARGE)}"


def measure(step: TranslateTexts, shards: Sequence[Path]) -> Cost:
    """Translate a sample, chosen by hash from all shards, in this process, and return the time, without loading."""
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
    return Cost(len(sample), took)


def _every(shards: Sequence[Path]) -> Iterator[tuple[str, str]]:
    for shard in shards:
        yield from read_rows(shard)


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
