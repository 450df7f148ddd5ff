"""Measure the cost of reading training data for corpora of several sizes: start-up time, memory and speed.

    python -m benchmarks.corpus_size --pairs 30000 300000 3000000 --train 20

Token stores with realistic lengths (log-normal, 20 tokens on average) are written to a temporary folder. Each is read
in a separate process, which prints one line of JSON:

- open_s, check_s: seconds to map the store, and to check every id. order_s: to sort the pairs by length and cut
  batches. epoch_s: to compute the order of an epoch. first_batch_s: to build the first batch.
- batches_per_s, target_tokens_per_s: speed of building batches in one thread, measured for --seconds.
- border_s: the longest wait for a prefetched batch around the end of an epoch, if the consumer takes --step seconds per
  batch.
- kept_mb, peak_mb: memory at the end and at the peak, without the mapped pages of the store's files, which the system
  reclaims when memory is short. peak_rss_mb: peak memory of the process, including those pages and torch.
- with --train, training_tokens_per_s: target tokens per second of the engine, the median of its updates (a Transformer
  of the preset tiny), in a training of that many seconds.
"""

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from benchmarks.workspace import ROOT
from seqloom.batching.batches import BatchOrder, in_order
from seqloom.batching.checks import check_store
from seqloom.batching.prefetch import Prefetcher
from seqloom.batching.shards import FORMAT, SIDES
from seqloom.batching.store import TokenStore
from seqloom.models.catalogue import build_model
from seqloom.models.settings import ModelSettings
from seqloom.params import load_params
from seqloom.symbols import SPECIAL_IDS
from seqloom.training.checkpoint import Checkpoints
from seqloom.training.device import be_deterministic, manage_memory, place
from seqloom.training.engine import Engine
from seqloom.training.job import Data, Hooks, Job
from seqloom.training.reports import Report, StepReport
from seqloom.training.settings import TrainSettings

VOCABULARY = 8000
LONGEST = 250  # tokens
T = TypeVar("T")


def main() -> None:
    """Print the figures of each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, nargs="+", default=[30_000, 300_000, 3_000_000])
    parser.add_argument("--tokens-per-batch", type=int, default=4096)
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds of reading (default: 3)")
    parser.add_argument("--step", type=float, default=0.1, help="seconds per update (default: 0.1)")
    parser.add_argument("--train", type=float, default=0.0, help="seconds of training (default: none)")
    parser.add_argument("--threads", type=int, default=2, help="threads in training (default: 2)")
    options = parser.parse_args()
    for pairs in options.pairs:
        with tempfile.TemporaryDirectory() as scratch:
            write_store(Path(scratch) / "train", pairs)
            with multiprocessing.get_context("spawn").Pool(1) as alone:
                figures = alone.apply(measure, (Path(scratch), options))
        print(json.dumps({"pairs": pairs, **figures}), flush=True)


def write_store(folder: Path, pairs: int) -> None:
    """Write a store in the format of `TokenWriter`, with all pairs at once."""
    random = np.random.default_rng(1)
    source = np.clip(random.lognormal(np.log(18), 0.5, pairs), 1, LONGEST).astype(np.int64)
    target = np.clip(source * random.lognormal(0.05, 0.15, pairs), 1, LONGEST).astype(np.int64)
    folder.mkdir()
    meta = {"format": FORMAT, "pairs": pairs, "dtype": "<u2", "symbols": SPECIAL_IDS._asdict(), "directions": [""]}
    for side, lengths in zip(SIDES, (source, target), strict=True):
        offsets = np.concatenate([[0], lengths.cumsum()]).astype("<u8")
        offsets.tofile(folder / f"{side}.offsets.bin")
        random.integers(len(SPECIAL_IDS), VOCABULARY, int(offsets[-1]), np.uint16).tofile(folder / f"{side}.ids.bin")
        meta[side] = {"vocab_size": VOCABULARY, "tokens": int(offsets[-1])}
    (folder / "meta.json").write_text(json.dumps(meta))


def measure(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Return the figures of one store."""
    before = status("RssAnon")
    with highest(lambda: status("RssAnon")) as peak:
        store, opening = timed(lambda: TokenStore.open(folder / "train"))
        _, checking = timed(lambda: check_store(store, VOCABULARY, VOCABULARY))
        order, ordering = timed(lambda: BatchOrder(store, options.tokens_per_batch, 1))
        epoch, shuffling = timed(lambda: order.epoch(0))
        _, first = timed(lambda: epoch[0])
        batches, tokens, started = 0, 0, time.perf_counter()
        while time.perf_counter() - started < options.seconds:
            tokens += epoch[batches % len(epoch)].tokens
            batches += 1
        reading = time.perf_counter() - started
        border = longest_wait(order, options.step)
    figures = {
        "open_s": round(opening, 4),
        "check_s": round(checking, 4),
        "order_s": round(ordering, 4),
        "epoch_s": round(shuffling, 4),
        "first_batch_s": round(first, 5),
        "batches_per_s": round(batches / reading),
        "target_tokens_per_s": round(tokens / reading),
        "border_s": round(border, 4),
        "kept_mb": round((status("RssAnon") - before) / 2**20, 1),
        "peak_mb": round((max(peak) - before) / 2**20, 1),
        "peak_rss_mb": round(status("VmHWM") / 2**20),
    }
    if options.train:
        figures["training_tokens_per_s"] = round(train(store, order, folder, options))
    return figures


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Return the result of `work`, and the seconds that it took."""
    started = time.perf_counter()
    return work(), time.perf_counter() - started


def longest_wait(order: BatchOrder, step: float) -> float:
    """Return the longest wait of a consumer, in seconds, from 20 batches before the end of an epoch to 10 after it."""
    waits = []
    with Prefetcher(order, 0, max(0, len(order.epoch(0)) - 20)) as ahead:
        for _ in range(30):
            waits.append(timed(lambda: next(ahead))[1])
            time.sleep(step)
    return max(waits[1:])


def status(field: str) -> int:
    """Return a memory field of this process's status, in bytes."""
    return int(Path("/proc/self/status").read_text().partition(f"{field}:")[2].split()[0]) * 1024


@contextmanager
def highest(value: Callable[[], int]) -> Iterator[list[int]]:
    """Yield a list to which the value is appended every millisecond."""
    seen, ended = [value()], threading.Event()

    def look() -> None:
        while not ended.wait(0.001):
            seen.append(value())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def train(store: TokenStore, order: BatchOrder, folder: Path, options: argparse.Namespace) -> float:
    """Return the target tokens per second of an update: the median of a training with the settings of params.yaml."""
    torch.set_num_threads(options.threads)
    manage_memory()
    params = load_params(ROOT / "params.yaml")
    changes = {
        "device": "cpu",
        "optimizer": "adamw",
        "lr": 1e-3,
        "tokens_per_batch": options.tokens_per_batch,
        "max_steps": None,
        "max_minutes": options.train / 60,
        "max_epochs": None,
        "validate_every": sys.maxsize,
        "checkpoint_every": sys.maxsize,
    }
    settings = TrainSettings(**params.train.model_dump() | changes)
    be_deterministic(settings.seed)
    content = params.model.model_dump()
    sizes = {name: None for name, value in content["transformer"].items() if type(value) is int}
    content |= {"name": "transformer", "transformer": content["transformer"] | sizes | {"preset": "tiny"}}
    rates = []

    def listen(report: Report) -> None:
        if isinstance(report, StepReport):
            rates.append(report.tokens / report.seconds)

    model = build_model(ModelSettings(**content).architecture, VOCABULARY, VOCABULARY)
    data = Data(order, [in_order(store, options.tokens_per_batch)[0]])
    hooks = Hooks(quality=lambda model: 0.0, listeners=[listen])
    Engine(Job(model, data, settings, place(settings), Checkpoints(folder, keep=1), hooks)).run()
    return statistics.median(rates)


if __name__ == "__main__":
    main()
