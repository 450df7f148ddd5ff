"""A process among several keeps little in memory, and reads only the ids of its own shares."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from seqloom.batching.batches import BatchOrder, ProcessShare
from seqloom.batching.store import TokenStore, TokenWriter

PAIRS, LENGTH = 20_000, 200


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    """20,000 pairs of 200 ids, 8 MB on each side."""
    ids = np.arange(4, 4 + LENGTH)
    with TokenWriter(tmp_path / "tokens", 1000, 1000) as writer:
        for number in range(PAIRS):
            writer.add(ids[: 100 + number % 100], ids)
    return TokenStore.open(tmp_path / "tokens")


def resident(file: Path) -> int:
    """Return how many bytes of the mapped file this process has touched, from Linux's account of its memory."""
    touched, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if line[0].islower() or line[0].isdigit():
            words = line.split(maxsplit=5)
            if "-" in words[0]:
                inside = words[-1] == str(file)
        if inside and line.startswith("Rss:"):
            touched += int(line.split()[1]) * 1024
    return touched


def test_a_process_reads_the_ids_of_its_own_shares_and_keeps_16_bytes_for_a_pair(store: TokenStore) -> None:
    ids = store.folder / "target.ids.bin"
    before = resident(ids)
    assert before < 200_000, "opening a store reads its offsets, not its ids"
    tracemalloc.start()
    order = BatchOrder(store, 8192, 1, share=ProcessShare(1, 4, 4))
    epoch = order.epoch(0)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 16 * PAIRS
    assert resident(ids) == before, "the order of an epoch needs only lengths"
    for position in range(3):
        epoch[position]
    # About 30 pairs; Linux maps up to 16 pages around each that is read.
    assert 0 < resident(ids) - before < 30 * 17 * 4096 < ids.stat().st_size / 3
