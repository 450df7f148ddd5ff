"""Measure how much faster several processes train than one, on the same batches, in one run.

    torchrun --standalone --nproc-per-node=2 -m benchmarks.train_scaling --data DIR --shape tiny --updates 40

DIR is that of benchmarks.train_throughput. Every batch has as many shares as there are processes. In each of several
rounds the first process computes all shares of the updates, while the others wait, and then all compute one share each.
The output is one line of JSON: target tokens per second of the median update in both cases, and their ratio.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks.token_stores import find_or_make
from benchmarks.train_throughput import SEED, WARM_UP, Stopwatch, model_settings, train_settings
from benchmarks.workspace import ROOT
from seqloom.batching.batches import BatchOrder, in_order
from seqloom.batching.store import TokenStore
from seqloom.models.catalogue import build_model
from seqloom.params import load_params
from seqloom.tokenization.catalogue import load_tokenizer
from seqloom.training.checkpoint import Checkpoints
from seqloom.training.device import be_deterministic, manage_memory, place
from seqloom.training.engine import Engine
from seqloom.training.job import Data, Hooks, Job
from seqloom.training.processes import Processes, joined
from seqloom.training.reports import StepReport


class Case(NamedTuple):
    """What is measured, apart from the processes that do it."""

    options: argparse.Namespace
    tokens: Path


def main() -> None:
    """Measure in the processes that torchrun started; the first one prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train and val, .en and .de")
    parser.add_argument("--shape", choices=["tiny", "small", "base", "big"], default="tiny", help="default: tiny")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--tokens-per-batch", type=int, default=2048, help="of each share (default: 2048)")
    parser.add_argument("--updates", type=int, default=40, help="updates of each case and round (default: 40)")
    parser.add_argument("--rounds", type=int, default=3, help="default: 3")
    options = parser.parse_args()
    vars(options).update(model="transformer", dropout=0.1, seconds=60.0, validate_every=10**6)
    torch.set_num_threads(1)
    manage_memory()
    with joined(torch.device(options.device)) as processes:
        if processes.first:
            find_or_make(options.data)
        processes.wait()
        case = Case(options, find_or_make(options.data)[0])
        one: list[float] = []
        several: list[float] = []
        for _ in range(options.rounds):
            if processes.first:
                one += rates(case, Processes(shares=processes.shares))
            processes.wait()
            several += rates(case, processes)
        if processes.first:
            figures = {"one_process": statistics.median(one), "all_processes": statistics.median(several)}
            rounded = {name: round(rate, 1) for name, rate in figures.items()}
            ratio = round(figures["all_processes"] / figures["one_process"], 3)
            print(json.dumps({"processes": processes.size, **rounded, "ratio": ratio}), flush=True)


def rates(case: Case, processes: Processes) -> list[float]:
    """Return the target tokens per second of each update after the warm-up."""
    options, params = case.options, load_params(ROOT / "params.yaml")
    settings = train_settings(params, options).model_copy(update={"max_minutes": None, "max_steps": options.updates})
    be_deterministic(SEED)
    tokenizer = load_tokenizer(case.tokens / "tokenizer")
    training, validation = (TokenStore.open(case.tokens / name) for name in ("train", "valid"))
    architecture = model_settings(params, options).architecture
    model = build_model(architecture, tokenizer.source_vocab_size, tokenizer.target_vocab_size)
    whole = options.tokens_per_batch * processes.shares
    order = BatchOrder(training, whole, SEED, share=processes.share)
    watch = Stopwatch()
    with tempfile.TemporaryDirectory(dir=case.tokens.parent) as scratch:
        data = Data(order, [in_order(validation, options.tokens_per_batch)[0]])
        placement = place(settings, local_rank=processes.rank)
        hooks = Hooks(lambda model: 0.0, listeners=[watch])
        checkpoints = Checkpoints(Path(scratch), keep=1)
        Engine(Job(model, data, settings, placement, checkpoints, hooks, processes=processes)).run()
    steps = [piece for piece in watch.pieces if isinstance(piece.report, StepReport)]
    return [each.report.tokens / each.seconds for each in steps[WARM_UP:] if isinstance(each.report, StepReport)]


if __name__ == "__main__":
    main()
